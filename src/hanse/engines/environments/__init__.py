"""Environments: the packages that a job asks for, built once for each site, by uv."""
