"""Brokers that tests, the benchmarks and the demo start and stop."""
