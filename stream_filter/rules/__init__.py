"""Rules: CEL conditions, parsed by Google's library and compiled to columns (pyarrow, numpy)."""
