"""What must hold, looked at after every event, by code that counts for itself.

`ledger` reads facts and `verdicts` says why each may be decided; `truth` knows what engines really
did, `book` who was granted what, `bounds` what may be kept; `watch` holds all of that against what
a home hears, holds and says; `calm` knows how soon all must be well once nothing goes wrong.

Shared with what is checked are the vocabulary (facts, messages, ids, `limits`) and the plan, and of
a home's own state only which leases it holds, what it calls a backup, and what is compared here:
what it takes for settled, where it ends leases, what it keeps. The core's own `core.invariants` are
looked at beside that; nothing here relies on them.
"""
