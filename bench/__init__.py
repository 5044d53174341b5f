"""Benchmarks of the project's speed: `python -m bench`."""
