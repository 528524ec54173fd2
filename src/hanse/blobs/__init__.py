"""Immutable bytes, named by their hash."""
