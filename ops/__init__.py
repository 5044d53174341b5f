"""Operate a deployed registry: `python -m ops verify`, `status`, `trust`, `login` and `recover`.

The commands work on any stack of the program, on any cluster. None of them needs the embedded cluster.
"""
