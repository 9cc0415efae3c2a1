"""Documents: pages for integrators, samples to try them with, and the zone as AsyncAPI for tools."""
