"""The composition root: reads policy and settings, builds the worker."""
