"""Pure and deterministic: no clock, randomness, log, I/O or await; numpy and standard library."""
