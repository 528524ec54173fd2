"""What must hold, looked at after every event, by code that shares nothing with what it checks.

`ledger` reads facts, `truth` knows what engines really did, `watch` sees what a home hears, holds
and says, `calm` knows how soon all must be well once nothing goes wrong any more.
"""
