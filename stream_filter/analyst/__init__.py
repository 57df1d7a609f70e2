"""The analyst: reads what the gate forwards, asks a language model, and writes verdicts."""
