"""Tests: test_*.py offline and instant, e2e/ on the embedded cluster."""
