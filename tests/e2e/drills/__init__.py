"""Drills: put a fault into a registry while clients push, and compare every accepted image with its hash.

`make test` runs each drill with small counts. `make drills` runs them with full counts, and writes their figures to
docs/reliability.md.
"""
