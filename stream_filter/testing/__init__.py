"""Brokers, workers, an analyst and a language model that tests, the benchmarks and the demo start
and stop."""
