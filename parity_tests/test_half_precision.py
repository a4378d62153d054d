"""Frequencies that `identify` reads where x is bfloat16 or float16, against right ropes at random.

A part of them by default; all with FULL=1 in the environment.
"""

import os

import numpy as np
import pytest

from parity_tests.planted import in_numpy, right
from parity_tests.planted.steps import Steps
from rope_parity import identify

ROPES = range(400) if os.environ.get("FULL") else range(0, 400, 20)
ROUNDOFF = {"bfloat16": 2.0**-8, "float16": 2.0**-11}


def read_and_true(seed, dtype):
    """Evidence of a right rope, and the frequency of each pair that was read, `(P, A)`.

    Every other rope rounds its products to the dtype of x too, and the angles of half are float32.
    """
    case, (products, exact) = right(seed), np.random.default_rng(seed).integers(2, size=2)
    rope, number = case.rope, np.float64 if exact else np.float32
    fn = in_numpy.by_index(rope, Steps(case.layout, products=dtype if products else ""), number)
    given = {"layout": case.layout, "context": case.context, "framework": "numpy"}
    found = identify(fn, rope.head_dim, axes=rope.coordinates, dtype=dtype, **given).evidence
    w = rope.sign * rope.frequencies(case.context if rope.follows_length else 0, number)
    first = {int(min(c)): j for j, c in enumerate(rope.channels(rope.read).T)}
    pairs = [first[channel] for channel in found.channels[:, 0].tolist()]
    true = np.zeros(found.inv_freq.shape)
    true[np.arange(len(pairs)), np.array(rope.axis or [0] * rope.pairs)[pairs]] = w[pairs]
    return found, true


@pytest.mark.parametrize("dtype", ROUNDOFF)
def test_the_uncertainty_covers_the_truth_and_is_small(dtype):
    """Modulo a turn. One angle leaves a roundoff; some 250 of them leave less than a sixteenth."""
    for seed in ROPES:
        found, true = read_and_true(seed, dtype)
        miss = np.angle(np.exp(1j * (found.inv_freq - true)))
        assert (np.abs(miss) <= found.uncertainty).all(), seed
        moved = true != 0
        relative = (found.uncertainty[moved] / np.abs(true[moved])).tolist()
        assert np.median(relative) < ROUNDOFF[dtype] / 16, seed
