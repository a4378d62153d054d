"""Exact cos and sin at real coordinates under XLA, and their derivative.

A float32 is a whole number times a power of two, so that its phase is the integer of
`rope_spec.phase`, bit by bit: XLA's CPU compiler flushes subnormals in float operations, not in
these. A product of the 24-bit mantissa and 96 bits of turns has four words of 32 bits.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float32, Int32, Shaped, UInt32

from rope_spec import RopeSpec, inverse_frequencies

from .phase import multiply_high, phase_cos_sin

Coordinates = Float32[Array, "*rows #P"]
Table = tuple[Float32[Array, "*rows P"], Float32[Array, "*rows P"]]  # cos and sin
Word = UInt32[Array, "*#rows #P"]
LARGEST = 157  # the biased exponent of numbers below 2 ** 31


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def cos_sin_at(spec: RopeSpec, coordinates: Coordinates) -> Table:
    """cos and sin, as `rope_spec.cos_sin` has them; NaN from 2 ** 31 on, and where not finite.

    The derivative is that of the functions: `-inv_freq sin` and `inv_freq cos`, in float32.
    """
    frequencies = inverse_frequencies(spec)
    phase, is_inside = _phase(coordinates, frequencies.all_turns)
    cos, sin = phase_cos_sin(phase, frequencies.attention_factor)
    nan = np.float32(np.nan)
    return jnp.where(is_inside, cos, nan), jnp.where(is_inside, sin, nan)


@cos_sin_at.defjvp
def _derivative(
    spec: RopeSpec, primals: tuple[Coordinates], tangents: tuple[Coordinates]
) -> tuple[Table, Table]:
    cos, sin = cos_sin_at(spec, *primals)
    angle = tangents[0] * inverse_frequencies(spec).inv_freq_float32
    return (cos, sin), (-sin * angle, cos * angle)


def _phase(
    coordinates: Coordinates, turns: Shaped[np.ndarray, " P"]
) -> tuple[Int32[Array, "*rows P"], Bool[Array, "*rows #P"]]:
    """`floor(x turns / 2 ** 32 + 1 / 2)` modulo a turn, and whether x is finite and in range.

    With `x = m 2 ** (31 - shift)` for a mantissa m this is `floor(m turns / 2 ** shift)`, plus 1,
    halved: 33 bits of the product from bit `shift` on. Zero and subnormals get the leading bit that
    they lack: that adds 2 ** -126, which turns by less than 2 ** -63 of a unit, and rounds to 0.
    """
    bits = lax.bitcast_convert_type(coordinates, jnp.uint32)
    exponent = (bits >> 23) & 0xFF
    mantissa = (bits & 0x7FFFFF) | 0x800000
    signs = zip(_words(turns), _words(-turns), strict=True)
    factor = [jnp.where(bits >> 31 == 0, plus, minus) for plus, minus in signs]
    words = _product(mantissa, factor)
    shift = 181 - jnp.minimum(exponent, LARGEST)
    low, high = _word(words, shift >> 5), _word(words, (shift >> 5) + 1)
    shift = shift & 31
    first, last = (low >> shift) | (high << 1 << (31 - shift)), (high >> shift) << 31
    phase = (first >> 1) + (first & 1) + last
    return lax.bitcast_convert_type(phase, jnp.int32), exponent <= LARGEST


def _words(numbers: Shaped[np.ndarray, " P"]) -> list[UInt32[np.ndarray, " P"]]:
    """Python's integers modulo 2 ** 128, the lowest 32 bits first."""
    return [(numbers >> place & 0xFFFFFFFF).astype(np.uint32) for place in (0, 32, 64, 96)]


def _product(mantissa: Word, words: list[Word]) -> list[Word]:
    """`mantissa * words` modulo 2 ** 128, the lowest word first, and the words of its sign."""
    product, carry = [], jnp.uint32(0)
    for word in words:
        lower = mantissa * word
        product.append(lower + carry)
        carry = multiply_high(mantissa, word) + (product[-1] < lower).astype(jnp.uint32)
    return [*product, (product[-1].astype(jnp.int32) >> 31).astype(jnp.uint32)]


def _word(words: list[Word], index: Word) -> Word:
    """`words[index]`, element by element; beyond the last one that, which is the sign."""
    found = words[-1]
    for i, word in enumerate(words[:-1]):
        found = jnp.where(index == i, word, found)
    return found
