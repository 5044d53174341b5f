"""End-to-end tests on embedded clusters, with a real Pulumi engine, API server and kubelets.

A real Docker engine is the main client.
"""
