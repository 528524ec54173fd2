"""Hanse beside its peers: the same work, on the same machine, in turn.

`contest.py` says what a peer is asked to do, `peers/` holds one adapter each, `measures/` the work
by families; `runner.py` runs them in turn, `table.py` and `plots.py` tell what came out.
"""
