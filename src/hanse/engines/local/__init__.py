"""The local engine: worker processes of this machine, without a daemon.

    main ──starts──> nursery ──forks──> workers, one session each
      └──────────two sockets per worker──────┘

Workers import from this package, so its `__init__` imports nothing.
"""
