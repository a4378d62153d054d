"""How far tables that others compute from float32 angles may be from ours."""

import math

import numpy as np
import torch

import rope_torch
from rope_spec import PerAxis, RopeSpec, cos_sin, inverse_frequencies

U = 2.0**-24
EXACT, HALF_ULP = 3.2e-8, 2.0**-25  # rope_spec/phase.py; of a float32 below 1


def allowed(spec: RopeSpec, positions: np.ndarray) -> np.ndarray:
    """What a table of float32 angles may be off by, `(S, P)`.

    Of a frequency theta ** e: u e for the base, ln(theta) times 2 u for an exponent that is rounded
    twice, an ULP for the power, u for the reciprocal, and u each for three more factors. Of the
    angle: that, and u for each of its products, of which there are at most three. An ULP for cos,
    and ours.
    """
    of_axis = spec.rule.theta if isinstance(spec.rule, PerAxis) else (spec.theta,)
    relative = (2 * math.log(max(of_axis)) + 7 + 3) * U
    angle = spec.pairs.coordinates(positions) * inverse_frequencies(spec).inv_freq
    return np.abs(angle) * relative + 2 * U + EXACT


def expect_rotation(spec, coordinates, tables, rotate, rng):
    """Our table and rotation are theirs, within what their float32 angles may be off by."""
    bound = allowed(spec, coordinates)
    for ours, theirs in zip(cos_sin(spec, coordinates), tables, strict=True):
        assert (np.abs(ours - theirs.numpy()) <= bound).all()
    x = torch.from_numpy(rng.standard_normal((2, 3, len(bound), spec.head_dim)).astype(np.float32))
    y = rope_torch.rotate(spec, x, *rope_torch.cos_sin(spec, torch.from_numpy(coordinates)))
    longest = float(x.abs().max()) * math.sqrt(2)
    assert (y - rotate(x)).abs().max() <= (math.sqrt(2) * bound.max() + 4 * U) * longest
