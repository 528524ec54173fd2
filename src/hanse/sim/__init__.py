"""A whole federation in one thread: real homes and agents, virtual time, network and disks.

`simulate(plan)` runs homes, sites and clients under a schedule of faults that was drawn from a seed
before anything ran; checkers look after every event. The same plan gives the same run to the byte,
on any machine. `python -m hanse.sim` runs seeds, and shrinks the plan of one that fails. What may
not live here: decisions of scheduling (they are the core's, and it is the core that is on trial),
clocks, threads, and any random number that does not come from the plan's seed (`draws`).
"""
