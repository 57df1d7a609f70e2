"""Hypothesis and a seeded generator for this folder."""

import numpy as np
import pytest
from hypothesis import settings

# A shared machine stalls now and then: a slow example is no fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20_261_126)
