"""The Ray engine: a site of several machines, joined by Ray.

    node ──socket──> driver ──Ray──> actors, each a slot on a machine that Ray chose
                                       └── a local engine with its worker

Only the driver and the actors import Ray. The node does not: what Ray does to a process that lost
its cluster, or to one that forks, it does to the driver.
"""
