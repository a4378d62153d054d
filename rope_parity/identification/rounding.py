"""What the rounding of cos and sin leaves of an angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .number import SINGLE, step_at

JUST_ABOVE = 1 + 2.0**-20  # a quotient may lie just below the power of two that was seen


@dataclass(frozen=True)
class Rounding:
    """How cos and sin were rounded before they are seen.

    Attributes:
        kind: the format of the numbers that come out.
        factor: by which cos and sin were multiplied before that.
        factor_error: of the factor that was divided out, relative.
        floor: what else an angle may be off by.
    """

    kind: str
    factor: float = 1.0
    factor_error: float = 0.0
    floor: float = 0.0

    def room(self, unit: NDArray[np.complex128], angle: np.ndarray) -> np.ndarray:
        """How far the angle of a right turn may be from the exact one, `(n, P)`, in radians.

        An angle follows from the smaller of cos and sin, which is off by half a step of its format
        and by six roundings of float32 at most: two of its own function, two of the other's where
        both are used, one of the product with the factor, one of the product with x. The angle
        itself is a float32 product.
        """
        small = np.minimum(np.abs(unit.real), np.abs(unit.imag))
        half = step_at(self.factor * small * JUST_ABOVE, self.kind) / (2 * self.factor)
        off = half + (6 * SINGLE + self.factor_error) * small
        seen = np.arcsin(np.minimum(small + off, 1.0)) - np.arcsin(small)
        return seen + 2 * SINGLE * np.abs(angle) + self.floor + 1e-12


def sharpened(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Turns of length 1 that were coarsely rounded, made exact.

    The larger of cos and sin follows from the smaller, whose rounding is less.
    """
    cos, sin = np.clip(z.real, -1, 1), np.clip(z.imag, -1, 1)
    by_sin = np.abs(sin) < np.abs(cos)
    exact_cos = np.copysign(np.sqrt(1 - sin**2), cos)
    exact_sin = np.copysign(np.sqrt(1 - cos**2), sin)
    return np.where(by_sin, exact_cos + 1j * sin, cos + 1j * exact_sin)
