"""The seam to two client libraries: protocols, a factory, connections. Only here are they named."""
