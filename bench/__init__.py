"""Benchmarks: the gate beside its peers, on one broker, in one run. See README.md."""
