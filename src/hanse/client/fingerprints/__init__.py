"""What a function is, and in what words it has changed: see `fingerprint` and `changes`."""
