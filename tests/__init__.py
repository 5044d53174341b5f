"""Tests. Those of e2e/ run on embedded clusters, all others offline. A folder has the name of what it tests."""
