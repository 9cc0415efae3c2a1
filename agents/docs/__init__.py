"""Documents about a zone and its agents: AsyncAPI for tools."""
