"""A decode server's day: `python -m benchmarks.decode_server --steps 100000`.

Rows of a batch hold sequences of their own. A sequence joins with a prefill, decodes a token in
each step, and leaves. Its keys are rotated in both branches, through each cache strategy, and
through dynamic NTK and LongRoPE with the length of each row. It exits with 1 where memory grows,
more is compiled than shapes and tables account for, the branches differ in a byte, or keys that are
moved 10,000 times drift beyond their bound.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

import jax
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

import rope_jax
import rope_torch
from rope_parity import bounds, growth
from rope_parity.backends import tensor
from rope_parity.measure import compare
from rope_spec import Arithmetic, DynamicNTK, LongRope, RopeSpec, Strategy

ROWS, HEADS, WIDTH = 8, 2, 64
LONGEST = 256  # tokens of a sequence
PROMPTS = (16, 32, 64, 128)
SHIFTS = 10_000
SLACK = 2**24  # bytes by which an allocator may differ from one half of the day to the other

PLAIN = RopeSpec(head_dim=WIDTH)
SETS = tuple(1 + k / 4 for k in range(WIDTH // 2)), tuple(2 + k / 2 for k in range(WIDTH // 2))
BY_LENGTH = {
    "dynamic NTK": RopeSpec(head_dim=WIDTH, rule=DynamicNTK(4.0, LONGEST // 2)),
    "LongRoPE": RopeSpec(head_dim=WIDTH, rule=LongRope(*SETS, LONGEST // 2, 2.0)),
}

Branch = Callable[[np.ndarray, np.ndarray], Any]  # keys and positions to rotated keys


@dataclass
class Day:
    """What one server counted."""

    name: str
    expected: int = 0  # compilations: one for each shape, and for each table that a lookup met
    compilations: int = 0
    growths: int = 0
    held: list[tuple[int, int]] = field(default_factory=list)  # arrays and bytes, at half and end
    differing: int = 0  # steps whose keys differ between the branches, of those compared

    @property
    def more_arrays(self) -> int:
        """Arrays that the second half of the day has left behind."""
        return self.held[1][0] - self.held[0][0]

    @property
    def more_bytes(self) -> int:
        """Bytes of the process that it has taken."""
        return self.held[1][1] - self.held[0][1]

    @property
    def is_flat(self) -> bool:
        """Whether nothing grows, and the branches agree."""
        is_compiled = self.compilations <= self.expected
        return is_compiled and self.more_arrays <= 0 >= self.differing and self.more_bytes <= SLACK


def traffic(steps: int, seed: int) -> Iterator[np.ndarray]:
    """Positions of each call: `(1, prompt)` for a row that joins, `(ROWS, 1)` to decode."""
    rng = np.random.default_rng(seed)
    position = rng.integers(0, PROMPTS[0], ROWS).astype(np.int32)
    for _ in range(steps):
        leaves = np.flatnonzero(position + 1 >= LONGEST)
        if leaves.size or rng.random() < 0.05:
            row = leaves[0] if leaves.size else rng.integers(ROWS)
            position[row] = prompt = rng.choice(PROMPTS)
            yield np.arange(prompt, dtype=np.int32)[None]
        else:
            yield position[:, None].copy()
            position += 1


def through_tables(strategy: Strategy, day: Day) -> tuple[Branch, Branch]:
    """Both branches, whose tables grow as the sequences do."""
    first = PROMPTS[0] if strategy in ("lazy", "doubling") else LONGEST
    caches = [branch.init_cache(PLAIN, strategy, first) for branch in (rope_jax, rope_torch)]
    step, met = growth.lookup_before(PLAIN), set[int]()

    def in_jax(x: np.ndarray, positions: np.ndarray) -> jax.Array:
        before, caches[0] = caches[0], rope_jax.grow_cache(caches[0], int(positions.max()) + 1)
        day.growths += caches[0] is not before
        day.expected += caches[0].capacity not in met
        met.add(caches[0].capacity)
        return step(caches[0], x, positions)

    def in_torch(x: np.ndarray, positions: np.ndarray) -> torch.Tensor:
        caches[1] = rope_torch.grow_cache(caches[1], int(positions.max()) + 1)
        table = rope_torch.lookup(caches[1], torch.from_numpy(positions))
        return rope_torch.rotate(PLAIN, torch.from_numpy(x), *table, heads_axis=-2)

    return in_jax, in_torch


def by_length(spec: RopeSpec) -> tuple[Branch, Branch]:
    """Both branches, with the length of each row as an array: nothing is compiled for a length."""

    @jax.jit
    def step(x: jax.Array, positions: jax.Array, lengths: jax.Array) -> jax.Array:
        return rope_jax.rotate(spec, x, *rope_jax.cos_sin(spec, positions, seq_len=lengths))

    def in_torch(x: np.ndarray, positions: np.ndarray) -> torch.Tensor:
        table = rope_torch.cos_sin(spec, positions, seq_len=positions[:, -1] + 1)
        return rope_torch.rotate(spec, torch.from_numpy(x), *table, heads_axis=-2)

    return lambda x, positions: step(x, positions, positions[:, -1] + 1), in_torch


def play(day: Day, branches: tuple[Branch, Branch], steps: int, is_exact: bool) -> Day:
    """Run the traffic through both branches; every 16th call is compared."""
    in_jax, in_torch = branches
    rng, shapes, compiled = np.random.default_rng(1), set[Any](), growth.COMPILATIONS.count
    for index, positions in enumerate(traffic(steps, seed=0)):
        x = rng.standard_normal((*positions.shape, HEADS, WIDTH), np.float32)
        shapes.add(positions.shape)
        ours, theirs = in_jax(x, positions), in_torch(x, positions)
        if is_exact and index % 16 == 0:
            day.differing += not compare(np.asarray(ours), theirs.numpy(), 1.0, 0.0).ok
        del ours, theirs
        if index + 1 in (steps // 2, steps):
            day.held.append(held())
    day.compilations = growth.COMPILATIONS.count - compiled
    day.expected += len(shapes)
    return day


def held() -> tuple[int, int]:
    """The arrays of both frameworks that are alive, and the bytes of the process."""
    gc.collect()
    # by type, since isinstance() asks lazy objects of torch what they are
    tensors = sum(issubclass(type(value), torch.Tensor) for value in gc.get_objects())
    with open("/proc/self/statm", encoding="ascii") as pages:
        size = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return len(jax.live_arrays()) + tensors, size


def drift(shifts: int = SHIFTS) -> tuple[float, float, bool]:
    """One key, moved by one position at a time, against one rotation at the last position.

    Returns:
        The largest distance as a share of the length of its pair; its bound, which is that of one
        rotation for each move, for the first, and for the one it is compared with; and whether the
        branches have the same bytes.
    """
    x = np.random.default_rng(2).standard_normal((1, 1, 1, WIDTH)).astype(np.float32)
    at = lambda n: np.array([[n]], np.int32)
    rotated = lambda n: np.asarray(rope_jax.rotate(PLAIN, x, *rope_jax.cos_sin(PLAIN, at(n))))

    @jax.jit
    def moved(key: jax.Array) -> jax.Array:
        move = lambda n, key: rope_jax.rerotate(PLAIN, key, at(0) + n, at(1) + n)
        return jax.lax.fori_loop(0, shifts, move, key)

    ours, theirs = np.asarray(moved(rotated(0))), tensor(rotated(0))
    for n in range(shifts):
        theirs = rope_torch.rerotate(PLAIN, theirs, at(n), at(n + 1), heads_axis=-2)
    pairs = lambda key: key.reshape(2, -1).astype(np.float64)
    apart = np.abs(pairs(ours) - pairs(rotated(shifts))).max(0) / np.hypot(*pairs(rotated(shifts)))
    one = float(bounds.rotation(bounds.exact_table(1.0), x.dtype, Arithmetic()))
    is_same = compare(ours, theirs.numpy(), 1.0, 0.0).ok
    return float(apart.max()), (shifts + 2) * one, is_same


def summary(days: list[Day]) -> Table:
    """A row for each server."""
    columns = ["", "growths", "compiled", "expected", "arrays", "MiB", "differing"]
    table = Table(*columns, title="compilations, and what the second half of the day has added")
    for day in days:
        mib = f"{day.more_bytes / 2**20:.1f}"
        counts = day.growths, day.compilations, day.expected, day.more_arrays, mib, day.differing
        table.add_row(day.name, *map(str, counts), style=None if day.is_flat else "red")
    return table


def main(
    steps: Annotated[int, typer.Option(min=1000, help="Calls of each server.")] = 2000,
) -> None:
    """Run each server for a day of so many calls, and print what grew."""
    days, console = list[Day](), Console()
    play(Day("warm"), through_tables("fixed", Day("warm")), 2, True)  # what JAX compiles for itself
    for strategy in get_args(Strategy):
        day = Day(strategy)
        days.append(play(day, through_tables(strategy, day), steps, is_exact=True))
    for name, spec in BY_LENGTH.items():
        days.append(play(Day(name), by_length(spec), steps, is_exact=name == "LongRoPE"))
    apart, bound, is_same = drift()
    console.print(summary(days))
    console.print(
        f"a key moved {SHIFTS} times: {apart:.2e} of its length from one rotation, bound "
        f"{bound:.2e}; both branches {'alike' if is_same else 'DIFFER'}"
    )
    if not (all(day.is_flat for day in days) and apart <= bound and is_same):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
