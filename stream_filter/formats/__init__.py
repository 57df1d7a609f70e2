"""From record values to canonical texts: decoders (msgspec) and column masks (pyarrow)."""
