"""Learning tasks one after the other (section 4: Table 5, Figure 4). Imports generalisation and below."""
