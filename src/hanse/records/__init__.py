"""What the journal's entries mean: facts with their payloads, and jobs read back from them."""
