"""Tests of the pages, the messages and the examples."""
