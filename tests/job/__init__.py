"""Tests of the program of the jobs, `registry/maintenance/job`."""
