"""A planted function called a few times, and its results as NumPy arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

from .case import Case, Function
from .rope import Array
from .truth import pairs_last, right_result, room

DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
ROWS, TOKENS, HEADS = 2, 32, 2
EDGES = (0, 1, 2, 3, 255, 256, 257, 511, 2047, 2048, 2049, 4095, 4096, 8191, 8192, 8193)


@dataclass(frozen=True)
class Call:
    """One call of a function: what it was given, and what came back."""

    x: Array
    positions: Array
    y: Array
    dtype: str
    dtype_back: str


def to_framework(array: Array, framework: str) -> Any:
    match framework:
        case "numpy":
            return array
        case "jax":
            return jnp.asarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array.copy())


def to_numpy(y: Any) -> tuple[Array, str]:
    """The values, and the name of their dtype."""
    if isinstance(y, torch.Tensor):
        return y.detach().double().numpy(), str(y.dtype).removeprefix("torch.")
    return np.asarray(y).astype(np.float64), str(y.dtype)


def positions_of(case: Case, random: np.random.Generator, long: bool) -> Array:
    """Edges of tables and roundings, and any others; rows of a batch have their own."""
    end = case.context if long else min(200, case.context)
    edges = [p for p in (*EDGES, case.context - 1) if p < end]
    shape = (TOKENS, case.rope.coordinates) if case.rope.axis else (TOKENS,)
    rows = random.integers(0, end, (ROWS, *shape))
    rows[0, : len(edges)] = np.reshape(edges, (-1, *(1,) * (len(shape) - 1)))
    return rows.astype(np.int32)


def calls(case: Case, factory: Callable[[], Function]) -> list[Call]:
    """Short, long, short of one instance; then half precision and short, if it remembers."""
    random = np.random.default_rng(len(case.name))
    fn, short = factory(), positions_of(case, random, long=False)
    long = positions_of(case, random, long=True)
    again = np.flip(short, 1).copy()
    plan = [(short, case.dtype), (long, case.dtype), (again, case.dtype)]
    if any("state" in reading for reading in case.faults):
        plan += [(long, "bfloat16"), (short, case.dtype)]
    return [call(case, fn, positions, dtype, random) for positions, dtype in plan]


def call(case: Case, fn: Function, positions: Array, dtype: str, random: Any) -> Call:
    shape = (ROWS, TOKENS, HEADS) if case.layout == "BSNH" else (ROWS, HEADS, TOKENS)
    x = random.standard_normal((*shape, case.head_dim), np.float32).astype(DTYPES[dtype])
    given = to_framework(x, case.framework), to_framework(positions, case.framework)
    y, dtype_back = to_numpy(fn(*given))
    assert y.shape == x.shape, f"{case.name}: {y.shape} for {x.shape}"
    return Call(x, positions, y, dtype, dtype_back)


def room_used(case: Case, made: Call) -> float:
    """The largest error as a share of the room of a right program; inf for another dtype."""
    exact = right_result(made.x, made.positions, case.rope, case.layout)
    return share(case, made, exact, 1)


def room_between(case: Case, one: Call, other: Call) -> float:
    """The largest difference of two functions, as a share of the room that both need."""
    if one.dtype_back != other.dtype_back:
        return np.inf
    return share(case, one, pairs_last(other.y, case.layout), 2)


def share(case: Case, made: Call, exact: Array, rooms: int) -> float:
    if rooms == 1 and made.dtype_back != made.dtype:
        return np.inf
    error = np.abs(pairs_last(made.y, case.layout) - exact)
    error[np.isnan(error)] = np.inf
    most = rooms * room(made.x, made.positions, case.rope, case.layout, made.dtype)
    return float(np.where(error == 0, 0, error / np.maximum(most, 1e-300)).max())
