"""Weights rounded for the products that they are in."""

import doctest

import numpy as np

from lightmine.export import rounding, sentences


def test_products_are_closer_than_with_weights_rounded_to_the_nearest(rng):
    # More channels than a block has, moving together; some never seen.
    rows = rng.standard_normal((2000, 40)) @ rng.standard_normal((40, 300))
    rows[:, :3] = 0
    weights = rng.standard_normal((300, 16))
    scales = np.abs(weights).max(axis=0) / 63
    nearest = np.rint(weights / scales)
    found = rounding.Rounding((rows.T @ rows).astype(np.float32)).round(weights, scales, qmax=63)
    assert (found.dtype, np.abs(found).max()) == (np.int8, 63)
    wrong = [np.linalg.norm(rows @ (weights - whole * scales)) for whole in (found, nearest)]
    assert wrong[0] < 0.5 * wrong[1]


def test_channels_that_were_never_seen_are_rounded_to_the_nearest(rng):
    weights = rng.standard_normal((5, 4))
    found = rounding.Rounding(np.zeros((5, 5))).round(weights, np.full(4, 0.05), qmax=127)
    assert np.array_equal(found, np.rint(weights / 0.05))


def test_examples_in_the_documentation_run():
    for module in (rounding, sentences):
        results = doctest.testmod(module)
        assert (results.failed, results.attempted > 0) == (0, True)
