"""How far tables that others compute from float32 angles may be from ours."""

import math

import numpy as np

from rope_spec import PerAxis, RopeSpec, inverse_frequencies

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
