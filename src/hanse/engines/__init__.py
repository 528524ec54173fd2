"""How leases run on a site. One port, one contract suite, an adapter each."""
