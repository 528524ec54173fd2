"""Turns the core's decisions into I/O: the loop, the journal, the engine and the payloads."""
