"""PURE: events in, decisions out. No I/O, no threads, no clock, no random source.

`Home` owns jobs and grants leases, `Agent` keeps one site busy; they speak `Report` and `Orders`.
Time comes in as integer nanoseconds; order comes from dicts and sorted lists, never from a set.
"""
