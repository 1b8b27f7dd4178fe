"""Real services for tests, benchmarks and a first look; not part of the package."""
