"""Section 2, second proof: neurons trained alone (Tables 2, 7, Figures 5, 6). Imports attribution and below."""
