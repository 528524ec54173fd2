"""A node, seen from elsewhere: how it is reached, its records, and its jobs."""
