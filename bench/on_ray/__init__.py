"""Hanse on Ray beside plain Ray: the same cluster, the same work, one run."""
