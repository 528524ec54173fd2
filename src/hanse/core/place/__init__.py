"""Where work goes: which job a site gets a lease of, how long it is, and what tails to cut."""
