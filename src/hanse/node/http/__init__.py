"""What a node says over HTTP: one table of routes, and a guard in front of all of them."""
