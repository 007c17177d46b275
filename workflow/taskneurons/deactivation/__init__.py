"""Section 2, first proof: neurons switched off (Tables 1, 6, Figure 5). Imports attribution and below."""
