"""What an agent's threads raise when the agent is to stop; who asks it to is the runtime."""


class Stopped(Exception):
    """The agent is to stop; what is not read or answered yet waits for the next time."""


__all__ = ["Stopped"]
