"""End-to-end tests, most of them on embedded clusters with a real Pulumi engine, API server and kubelets.

A real Docker engine is the main client. The tests of the proxy (`test_access*.py`) need no cluster.
"""
