"""Frozen values that everyone speaks in: ranges, resources, failures, jobs and leases."""
