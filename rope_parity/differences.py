"""Where JAX and PyTorch, or one of them and itself, give other bits, in the smallest programs.

Each program returns the size of its difference, and how often it occurs; its source is what the
atlas prints.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from numpy.typing import ArrayLike

Size = tuple[float, float]  # the largest difference, and the share of elements that differ


@dataclass(frozen=True)
class Difference:
    """A cause of other bits."""

    name: str
    program: Callable[[], Size]
    unit: str
    remedy: str


def _compare(left: ArrayLike, right: ArrayLike) -> Size:
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
    return float(np.nan_to_num(np.abs(a - b)).max()), float(differs.mean())


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def contraction():
    a, b, c, d = _normal(4, 10_000)
    rotate = lambda a, b, c, d: a * b - c * d
    return _compare(jax.jit(rotate)(a, b, c, d), rotate(*map(torch.tensor, (a, b, c, d))))


def constant_folding():
    power = lambda: 1.0 / 10000.0 ** (jnp.arange(0, 96, 2, dtype=jnp.float32) / 96)
    folded, eager = np.asarray(jax.jit(power)()), np.asarray(power())
    return _ulps(folded, eager)


def library_functions():
    angle = _normal(10_000) * np.float32(100)
    return _ulps(np.asarray(jnp.cos(angle)), torch.tensor(angle).cos().numpy())


def excess_precision():
    x = torch.tensor(_normal(10_000)).bfloat16()
    chain = lambda x: (x * 1.1) * 1.1
    return _compare(torch.compile(chain)(x).float(), chain(x).float())


def promotion():
    half, scale = _normal(10_000).astype(np.float16), np.float32(1.1)
    with jax.numpy_dtype_promotion("standard"):
        jaxs = jnp.asarray(half) * jnp.asarray(scale)
    return _compare(jaxs, torch.tensor(half) * torch.tensor(scale))


def out_of_range_indexing():
    table, rows = jnp.arange(4), np.array([3, 4, 1000])  # each row holds its own number
    return _compare(table[rows], rows)  # torch raises IndexError here


def subnormals():
    tiny = np.full(8, 2.0**-140, np.float32)
    return _compare(jax.jit(lambda x: x * 0.5)(tiny), torch.tensor(tiny) * 0.5)


def compiled_torch():
    angle = torch.tensor(_normal(10_000)) * 1000
    return _ulps(torch.compile(torch.cos)(angle).numpy(), torch.cos(angle).numpy())


def autocast():
    q, k = torch.tensor(_normal(64, 64)), torch.tensor(_normal(64, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = q @ k
    return _compare(scores.float(), q @ k)


def zeros_behind_a_barrier():
    zeros = np.full(8, -0.0, np.float32)
    guarded = jax.jit(lambda x: x + lax.optimization_barrier(jnp.float32(0)))(zeros)
    flipped = np.signbit(guarded) != np.signbit(zeros)
    return float(flipped.max()), float(flipped.mean())


def _ulps(left: np.ndarray, right: np.ndarray) -> Size:
    steps = np.abs(left.view(np.int32).astype(np.int64) - right.view(np.int32))
    return float(steps.max()), float((steps > 0).mean())


DIFFERENCES = (
    Difference(
        "contraction",
        contraction,
        "absolute",
        "XLA fuses a * b - c * d to one rounding less. "
        "rope_jax.rounding.keep_rounding keeps each product rounded.",
    ),
    Difference(
        "constant folding",
        constant_folding,
        "ULP",
        "XLA folds constants with other functions than it runs. "
        "Compute inv_freq once, on the host, for everybody.",
    ),
    Difference(
        "cos and sin",
        library_functions,
        "ULP",
        "Every library has its own. Take the phase from integers: rope_spec.phase.",
    ),
    Difference(
        "excess precision",
        excess_precision,
        "absolute",
        "torch.compile keeps float32 inside. "
        "Set torch._inductor.config.emulate_precision_casts, or round once at the end.",
    ),
    Difference(
        "promotion",
        promotion,
        "absolute",
        "float16 times a 0-d float32 is float16 in torch and float32 in JAX. "
        "Cast by hand; rope_torch and rope_jax do.",
    ),
    Difference(
        "indexing out of range",
        out_of_range_indexing,
        "rows",
        "JAX gives the last row in silence, however far away; torch raises. "
        "lookup gives NaN, or what out_of_range says.",
    ),
    Difference(
        "subnormals",
        subnormals,
        "absolute",
        "XLA on a CPU flushes them to zero. The comparisons here skip them, and say so.",
    ),
    Difference(
        "torch.compile",
        compiled_torch,
        "ULP",
        "Its cos is another function than that of eager torch. Integer phases are equal in both.",
    ),
    Difference(
        "autocast",
        autocast,
        "absolute",
        "It casts matmuls to 16 bits. Nothing to do for a rotation, which is elementwise.",
    ),
    Difference(
        "+0.0 as a guard",
        zeros_behind_a_barrier,
        "sign bit",
        "Adding 0.0 to keep a product from fusing turns -0 to +0. "
        "rope_jax.rounding.keep_rounding changes no number.",
    ),
)
