"""The workbench: what helps to write mappings, and to see what they do; mapping itself is the engine's."""
