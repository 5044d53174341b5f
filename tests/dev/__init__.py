"""Tests of `dev` and `bench`, of the wheel and of releases."""
