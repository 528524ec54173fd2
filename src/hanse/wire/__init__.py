"""PURE: messages to bytes and back, with versions. Schema'd msgpack, never pickle."""
