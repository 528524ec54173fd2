"""How good placement is: cost beside the optimum, and beside simpler ways to place work."""
