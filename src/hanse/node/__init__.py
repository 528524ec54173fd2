"""The daemon: a runtime that is reached over HTTP, and goes on when its clients leave."""
