"""The program of the maintenance jobs, collect, prune, scrub, backup and restore, and of the exporter of metrics.

It needs only Python's standard library, because it runs from a ConfigMap in an image of Python.
"""

DAMAGE_REMAINS = 3
"""Exit code of a scrub that has found damage. Another attempt would not change that."""
