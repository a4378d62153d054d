"""The ledger of growth: what each cache strategy costs along a trace of calls.

It counts compilations, bytes and time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import monitoring
from rich.console import Console
from rich.progress import track

import rope_jax
import rope_torch
from rope_spec import RopeSpec, Strategy

from . import oracle
from .accounts import (
    ROWS as ROWS,
    Account,
    meaning as meaning,
    plot as plot,
    summary as summary,
    write_json as write_json,
)
from .measure import compare
from .traces import TRACES, Trace, prefills as prefills

COMPILED = "/jax/core/compile/backend_compile_duration"
HEADS = 4
BLOCK = 128  # positions of one lookup before the step


class Compilations:
    """Counts what XLA compiles, by jax's own event."""

    def __init__(self) -> None:
        self.count = 0
        monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        self.count += event == COMPILED


COMPILATIONS = Compilations()


def ledger(
    spec: RopeSpec, traces: tuple[Callable[[], Trace], ...] = TRACES, console: Console | None = None
) -> dict[str, dict[str, Account]]:
    """`{trace: {strategy: Account}}`, with a progress bar."""
    jobs = [(make(), strategy) for make in traces for strategy in get_args(Strategy)]
    found: dict[str, dict[str, Account]] = {}
    for trace, strategy in track(jobs, description="playing", console=console, transient=True):
        account = play_jax(spec, trace, strategy, lookup_before)
        account.cache_compilations_in_step = play_jax(
            spec, trace, strategy, lookup_inside
        ).compilations
        account.torch_rebuilds, account.torch_recompiles = play_torch(spec, trace, strategy)
        found.setdefault(trace.name, {})[strategy] = account
    for accounts in found.values():
        free = accounts["table_free"]
        before, inside = free.compilations, free.cache_compilations_in_step
        for account in accounts.values():
            account.cache_compilations = account.compilations - before
            account.cache_compilations_in_step -= inside
    return found


Step = Callable[[rope_jax.RopeCache, np.ndarray, np.ndarray], jax.Array]


def lookup_before(spec: RopeSpec) -> Step:
    """A step whose rows are looked up before it, in blocks of one size.

    A larger table then costs one compilation, that of the lookup. Inside the step the size of the
    table would meet every shape of the calls, and each of them would be compiled anew.
    """

    @jax.jit
    def step(x: jax.Array, blocks: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
        cos, sin = (
            jnp.concatenate(rows)[: x.shape[0] * x.shape[1]] for rows in zip(*blocks, strict=True)
        )
        return rope_jax.rotate(
            spec, x, cos.reshape(*x.shape[:2], -1), sin.reshape(*x.shape[:2], -1)
        )

    def call(cache: rope_jax.RopeCache, x: np.ndarray, positions: np.ndarray) -> jax.Array:
        padded = np.pad(positions.ravel(), (0, -positions.size % BLOCK))
        return step(x, [rope_jax.lookup(cache, block) for block in padded.reshape(-1, BLOCK)])

    return call


def lookup_inside(spec: RopeSpec) -> Step:
    """A step that takes the table as an argument."""
    return jax.jit(
        lambda cache, x, positions: rope_jax.rotate(spec, x, *rope_jax.lookup(cache, positions))
    )


def play_jax(
    spec: RopeSpec, trace: Trace, strategy: Strategy, lookup: Callable[[RopeSpec], Step]
) -> Account:
    """Run every call of the trace through a step. Caches grow outside of it."""
    jax.clear_caches()
    account, step = Account(max_position=max(int(call.max()) for call in trace.calls)), lookup(spec)
    start, compiled, times = time.perf_counter(), COMPILATIONS.count, list[float]()
    cache = rope_jax.init_cache(spec, strategy, trace.rows(strategy))
    for call in trace.calls:
        # NumPy arrays: nothing of their own to compile
        x = np.zeros((*call.shape, HEADS, spec.head_dim), np.float32)
        before, cache = cache, rope_jax.grow_cache(cache, int(call.max()) + 1)
        step(cache, x, call.astype(np.int32)).block_until_ready()
        times.append(time.perf_counter() - start)
        replaced = None if cache is before else _bytes(before)
        account.add(_bytes(cache), replaced, COMPILATIONS.count - compiled)
        start = time.perf_counter()
    account.first_call_ms, account.steady_call_ms = times[0] * 1e3, float(np.median(times)) * 1e3
    account.max_error = _error(spec, cache, account.max_position)
    return account


def play_torch(spec: RopeSpec, trace: Trace, strategy: Strategy) -> tuple[int, int]:
    """How often a trace builds a table in PyTorch, and how often `torch.compile` recompiles."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    step = torch.compile(
        lambda cache, x, p: rope_torch.rotate(spec, x, *rope_torch.lookup(cache, p)),
        backend=backend,
    )
    cache = rope_torch.init_cache(spec, strategy, trace.rows(strategy))
    rebuilds = int(bool(cache.tables))
    with torch._dynamo.config.patch(recompile_limit=1000):
        for call in trace.calls:
            before, cache = cache, rope_torch.grow_cache(cache, int(call.max()) + 1)
            rebuilds += cache is not before
            batch, length = call.shape
            x = torch.zeros(batch, HEADS, length, spec.head_dim)
            step(cache, x, torch.tensor(call))
    return rebuilds, len(graphs) - 1


def _error(spec: RopeSpec, cache: rope_jax.RopeCache, last: int) -> float:
    positions = np.arange(max(0, last - 63), last + 1)[None]
    ours, exact = rope_jax.lookup(cache, positions), oracle.cos_sin(spec, positions)
    return max(
        compare(np.asarray(a), b, 1.0, 1.0).max_abs for a, b in zip(ours, exact, strict=True)
    )


def _bytes(cache: rope_jax.RopeCache) -> int:
    return sum(table.nbytes for table in cache.tables)
