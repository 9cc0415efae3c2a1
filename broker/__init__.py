"""The zone: its protocol, its decisions, its storage and the processes that run it."""
