"""Tests: test_*.py run offline, and e2e/ on embedded clusters."""
