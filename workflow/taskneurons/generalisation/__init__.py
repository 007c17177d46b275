"""Section 3: what training on some tasks does to others (Figures 2, 3, Tables 4, 9 to 11). Imports tuning and below."""
