"""The right result in float64, and the room that a right program in float32 needs."""

from dataclasses import replace

import numpy as np

from .rope import Array, Rope, plain

UNIT = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}  # half the spacing at 1
TINY = {"float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-24}  # least normal, subnormal
STEPS = 8  # roundings of a frequency, its angle and its cosine, each of at most one unit of float32


def pairs_last(x: Array, layout: str) -> Array:
    """x as (B, S, N, H) in float64."""
    return np.moveaxis(x.astype(np.float64), 1 if layout == "BNSH" else 2, 2)


def angles(positions: Array, rope: Rope) -> Array:
    """(B, S, 1, P)."""
    length = int(positions.max()) + 1
    each = positions[..., list(rope.axis)] if rope.axis else positions[..., None]
    return rope.sign * (each * rope.frequencies(length))[:, :, None]


def right_result(x: Array, positions: Array, rope: Rope, layout: str) -> Array:
    """Each pair as a complex number times `factor exp(i angle)`, (B, S, N, H)."""
    x = pairs_last(x, layout)
    real, imaginary = x[..., rope.channels(rope.read)[0]], x[..., rope.channels(rope.read)[1]]
    turned = (real + 1j * imaginary) * rope.factor * np.exp(1j * angles(positions, rope))
    y = x.copy()
    near, far = rope.channels(rope.write)
    y[..., near], y[..., far] = turned.real, turned.imag
    return y


def blended(rope: Rope, w: Array) -> Array:
    """How much more a rounding is worth where a rule blends w and w / factor: 1 where it does not.

    The blend is off by three times what w is: Llama-3 has high / (high - low) at most 3 here.
    In the result that is as many times more as w was stretched.
    """
    stretch = replace(rope, rule=plain).frequencies(0) / w
    factor = getattr(rope.rule, "keywords", {}).get("factor", 1)
    is_blend = (stretch > 1 + 1e-9) & (stretch < factor * (1 - 1e-9))
    return np.where(is_blend, 1 + 3 * stretch, 1)


def frequency_room(rope: Rope, length: int) -> Array:
    """The relative error of an angle: STEPS units, and ln w of them for the exponent."""
    w = np.maximum(rope.frequencies(length), 1e-30)
    return UNIT["float32"] * (STEPS + np.abs(np.log(w))) * blended(rope, w)


def room(x: Array, positions: Array, rope: Rope, layout: str, dtype: str) -> Array:
    """How far a right result may lie from the exact one, (B, S, N, H).

    What half precision adds is one unit each for the cosine, the product, the sum and the last
    cast, of the two products, whose sum is at most sqrt(2) times the length of the pair.
    """
    x = pairs_last(x, layout)
    near, far = rope.channels(rope.read)
    size = rope.factor * np.hypot(x[..., near], x[..., far])
    off = np.abs(angles(positions, rope)) * frequency_room(rope, int(positions.max()) + 1)
    units = STEPS * UNIT["float32"] + 4 * np.sqrt(2) * UNIT[dtype]
    result = np.zeros_like(x)
    for channels in rope.channels(rope.write):
        result[..., channels] = size * (off + units) + 4 * TINY[dtype]
    return result
