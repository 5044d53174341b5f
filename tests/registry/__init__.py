"""Tests of `registry`: rules, objects, outputs and secrets."""
