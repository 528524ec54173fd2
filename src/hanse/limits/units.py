"""Sizes in bytes, times in nanoseconds."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
MS = 1_000_000
SECOND = 1_000 * MS
