import numpy as np
import pytest

from lightmine.bitext.margin import SMALLEST_AVERAGE, margin_scores
from lightmine.errors import ArgumentError


@pytest.mark.parametrize(
    ("margin", "expected"), [("ratio", [1.6, 0.5]), ("distance", [0.3, -0.4]), ("absolute", [0.8, 0.4])]
)
def test_margins_by_hand(margin, expected):
    found = margin_scores(np.array([0.8, 0.4]), np.array([0.6, 0.9]), np.array([0.4, 0.7]), margin=margin)
    assert found == pytest.approx(expected, abs=1e-7)
    assert found.dtype == np.float32


@pytest.mark.parametrize("average", [0.0, -0.3, 1e-9])
def test_an_average_that_is_no_scale_gives_finite_ratios_ordered_by_cosine(average):
    cosine = np.array([0.9, 0.1, 0.0, -0.2])
    found = margin_scores(cosine, np.full(4, average), np.full(4, average))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert found == pytest.approx(cosine / SMALLEST_AVERAGE)


def test_another_margin_is_refused_with_the_choices():
    with pytest.raises(
        ArgumentError, match="margin must be one of ratio, distance, absolute, not 'relative'"
    ):
        margin_scores(np.ones(1), np.ones(1), np.ones(1), margin="relative")
