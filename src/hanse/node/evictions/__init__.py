"""Whether this machine is about to be taken away, and who says so (see docs/evictions.md)."""
