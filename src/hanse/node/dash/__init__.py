"""What the page shows of a node, or of one machine's records, as plain values. See `http.dash`."""
