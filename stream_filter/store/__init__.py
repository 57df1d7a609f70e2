"""The ledger as bytes: Arrow (pyarrow)."""
