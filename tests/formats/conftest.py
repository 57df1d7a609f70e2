"""Hypothesis for this folder."""

from hypothesis import settings

# A shared machine stalls now and then: a slow example is no fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
