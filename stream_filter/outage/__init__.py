"""The view of an outage: what complains more than usual, since when, and who may be its cause.

Pure: numpy, the standard library and the core; times come in as arguments."""
