"""How far two ways to compute a rotation may lie apart, derived, as a fraction of the length of the pair.

u = 2 ** -24 is the unit roundoff of float32; a dtype of 16 bits rounds by at most eps / 2. A cos with an error of d moves a
component of a turned pair by at most sqrt(2) d |pair|, as |x_a| + |x_b| <= sqrt(2) |pair|.
"""

from __future__ import annotations

import math

import numpy as np

from rope_spec import Arithmetic

from .measure import eps_of

U = 2.0**-24
SECOND_ORDER = 1 + 1e-5  # products of the errors above are below 1e-6 of them

EQUAL, ULP, TABLE, ROTATION, ANGLE = "equal bytes", "1 ULP", "exact table", "one rounding", "float32 angle"
DERIVATIONS = {
    EQUAL: "both sides do the same operations on the same numbers, so every byte is the same",
    ULP: "1 ULP of float32, for one rounded function; twice that where a factor is multiplied in",
    TABLE: "3.2e-8 f for cos and sin (rope_spec/phase.py), and half an ULP of the product where the factor f is not 1",
    ROTATION: "sqrt(2) times the error of the table, u for products, u for the sum, half an ULP for the cast; u = 2 ** -24",
    ANGLE: "transformers' float32 angle: |p| |error of its inv_freq| + u |angle|; then the roundings of both sides",
}


def exact_table(factor: float) -> float:
    """Our cos and sin: 3.2e-8 f, from `rope_spec.phase`; half an ULP of the product where the attention factor f is not 1."""
    return 3.2e-8 * factor + (float(np.spacing(np.float32(factor))) / 2 if factor != 1 else 0.0)


def float32_table(positions: np.ndarray, inv_freq: np.ndarray, error: np.ndarray, factor: float) -> np.ndarray:
    """Their cos and sin: `|p| error` for the frequency, u |angle| for the product, an ULP for cos, u for each rounding of f."""
    angle_error = np.abs(positions) * (np.abs(error) + U * np.abs(inv_freq))
    return np.minimum(angle_error + 2 * U + (2 * U if factor != 1 else 0.0), 2.0)


def rotation(table: np.ndarray | float, dtype: np.dtype, arithmetic: Arithmetic) -> np.ndarray | float:
    """A rotated pair, with cos and sin that are off by `table`.

    float32 inside: u for the products (|x_a c| + |x_b s| <= |pair|), u for the sum, half an ULP of the dtype for the cast.
    In the dtype of x: half an ULP each for cos and sin, for the products and for the sum.
    """
    half = eps_of(dtype) / 2
    if arithmetic.rotate_in == "input":
        return (math.sqrt(2) * (table + half) + 2 * half) * (SECOND_ORDER + 2 * half)
    return (math.sqrt(2) * table + 2 * U + (half if half > U else 0.0)) * SECOND_ORDER
