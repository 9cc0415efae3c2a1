"""Certification of agents: everything is tried in a private zone, and what was found is signed."""
