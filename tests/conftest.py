"""What several tests need: small random models, and Hypothesis settings that suit a shared machine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.tiny import write_bundle

settings.register_profile(
    "lightmine", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lightmine")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A bundle of a random eight-dimensional model over whitespace words."""
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")
