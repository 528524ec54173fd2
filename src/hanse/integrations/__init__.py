"""Hanse beneath other libraries, one file for each. Only here are they imported."""
