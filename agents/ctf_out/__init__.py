"""The agent for schools that have none: what it waits for and has written, as people see it.

Its work is the connector ``ctf-out`` (agents/connectors/ctf_out); its file is ctf-out.toml.
"""
