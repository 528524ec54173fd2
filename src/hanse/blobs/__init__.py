"""Immutable bytes named by their hash: kept, checked, collected."""
