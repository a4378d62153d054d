"""The ledger of growth: what each way to keep a table costs along a trace of calls, in
compilations, bytes and time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, get_args

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import monitoring
from rich.console import Console
from rich.progress import track
from rich.table import Table

import rope_jax
import rope_torch
from rope_spec import RopeSpec, Strategy

from . import oracle
from .measure import compare

COMPILED = "/jax/core/compile/backend_compile_duration"
HEADS = 4
BLOCK = 128  # positions of one lookup before the step


@dataclass(frozen=True)
class Trace:
    """A sequence of calls, each with its batch and its positions `(B, S)`."""

    name: str
    first: int  # rows of a growing table at the start
    longest: int  # positions that a table of fixed size has to serve
    calls: tuple[np.ndarray, ...] = field(repr=False)


def chat(turns: int = 12) -> Trace:
    """One long conversation: a prefill of mixed length, then some decoded tokens, over and over."""
    rng, position, calls = np.random.default_rng(0), 0, []
    for _ in range(turns):
        prompt = int(rng.choice([64, 128, 256, 512]))
        calls.append(np.arange(position, position + prompt)[None])
        position += prompt
        for _ in range(4):
            calls.append(np.array([[position]]))
            position += 1
    return Trace("one long chat", 512, 8192, tuple(calls))


def prefills(count: int = 10) -> Trace:
    """Independent requests of mixed lengths, each with some decoded tokens."""
    lengths = np.random.default_rng(1).choice([96, 200, 333, 512, 900, 1500, 2048, 3000], count)
    calls = [np.arange(n)[None] for n in lengths]
    decodes = [[np.array([[n + i]]) for i in range(3)] for n in lengths]
    return Trace(
        "mixed prefills",
        256,
        4096,
        tuple(c for n, d in zip(calls, decodes, strict=True) for c in (n, *d)),
    )


def server(steps: int = 12) -> Trace:
    """A server with padded buckets: few shapes, positions that go on growing."""
    rng, calls = np.random.default_rng(2), []
    for step in range(steps):
        bucket = int(rng.choice([128, 256]))
        offsets = rng.integers(0, 500 * (step + 1), (4, 1))
        calls += [np.arange(bucket)[None] + offsets, offsets + bucket]
    return Trace("server with buckets", 1024, 8192, tuple(calls))


TRACES = (chat, prefills, server)


@dataclass
class Account:
    """What one strategy cost along one trace."""

    compilations: int = 0
    cache_compilations: int = 0  # beyond those of `table_free` on the same trace
    cache_compilations_in_step: int = (
        0  # the same where the table is an argument of the jitted step, as most people write it
    )
    growths: int = 0
    peak_bytes: int = 0
    final_bytes: int = 0
    first_call_ms: float = 0.0
    steady_call_ms: float = 0.0
    max_position: int = 0
    max_error: float = 0.0  # of cos and sin against the oracle, over the largest positions served
    torch_rebuilds: int = 0
    torch_recompiles: int = 0
    steps: list[dict[str, int]] = field(
        default_factory=list
    )  # bytes and compilations after each call


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
    """Rows are looked up in blocks of one size before the jitted step: a larger table costs one
    compilation, of the lookup.

    Inside the step the size of the table would meet every shape of the calls, and each of them
    would be compiled anew.
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
    """The table is an argument of the jitted step."""
    return jax.jit(
        lambda cache, x, positions: rope_jax.rotate(spec, x, *rope_jax.lookup(cache, positions))
    )


def play_jax(
    spec: RopeSpec, trace: Trace, strategy: Strategy, road: Callable[[RopeSpec], Step]
) -> Account:
    """Every call of the trace through a step; caches grow outside."""
    jax.clear_caches()
    account, times, step = (
        Account(max_position=max(int(call.max()) for call in trace.calls)),
        [],
        road(spec),
    )
    start, compiled = time.perf_counter(), COMPILATIONS.count
    cache = rope_jax.init_cache(
        spec, strategy, trace.first if strategy in ("lazy", "doubling") else trace.longest
    )
    for call in trace.calls:
        x = np.zeros(
            (*call.shape, HEADS, spec.head_dim), np.float32
        )  # NumPy arrays: nothing of their own to compile
        before = cache
        cache = rope_jax.grow_cache(cache, int(call.max()) + 1)
        step(cache, x, call.astype(np.int32)).block_until_ready()
        times.append(time.perf_counter() - start)
        account.growths += cache is not before
        both = 0 if cache is before else _bytes(before)
        account.peak_bytes = max(account.peak_bytes, both + _bytes(cache))
        account.steps.append(
            {"bytes": _bytes(cache), "compilations": COMPILATIONS.count - compiled}
        )
        start = time.perf_counter()
    account.compilations, account.final_bytes = COMPILATIONS.count - compiled, _bytes(cache)
    account.first_call_ms, account.steady_call_ms = times[0] * 1e3, float(np.median(times)) * 1e3
    account.max_error = _error(spec, cache, account.max_position)
    return account


def play_torch(spec: RopeSpec, trace: Trace, strategy: Strategy) -> tuple[int, int]:
    """How often the same trace builds a table in PyTorch, and how often `torch.compile` compiles
    beyond the first time.
    """
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    step = torch.compile(
        lambda cache, x, p: rope_torch.rotate(spec, x, *rope_torch.lookup(cache, p)),
        backend=backend,
    )
    cache = rope_torch.init_cache(
        spec, strategy, trace.first if strategy in ("lazy", "doubling") else trace.longest
    )
    rebuilds = int(bool(cache.tables))
    with torch._dynamo.config.patch(recompile_limit=1000):
        for call in trace.calls:
            before, cache = cache, rope_torch.grow_cache(cache, int(call.max()) + 1)
            rebuilds += cache is not before
            step(
                cache,
                torch.zeros(call.shape[0], HEADS, call.shape[1], spec.head_dim),
                torch.tensor(call),
            )
    return rebuilds, len(graphs) - 1


def _error(spec: RopeSpec, cache: rope_jax.RopeCache, last: int) -> float:
    positions = np.arange(max(0, last - 63), last + 1)[None]
    ours, exact = rope_jax.lookup(cache, positions), oracle.cos_sin(spec, positions)
    return max(
        compare(np.asarray(a), b, 1.0, 1.0).max_abs for a, b in zip(ours, exact, strict=True)
    )


def _bytes(cache: rope_jax.RopeCache) -> int:
    return sum(table.nbytes for table in cache.tables)


def summary(found: dict[str, dict[str, Account]]) -> Iterator[Table]:
    """A table for each trace, a column for each strategy."""
    for name, accounts in found.items():
        table = Table("", title=f"[bold]{name}", title_justify="left")
        for strategy in accounts:
            table.add_column(strategy, justify="right")
        for label, text in ROWS.items():
            table.add_row(label, *map(text, accounts.values()))
        yield table


ROWS: dict[str, Callable[[Account], str]] = {
    "growths": lambda a: str(a.growths),
    "compilations of the cache": lambda a: str(a.cache_compilations),
    "... as argument of the step": lambda a: str(a.cache_compilations_in_step),
    "compilations in all": lambda a: str(a.compilations),
    "MiB at the end": lambda a: f"{a.final_bytes / 2**20:.2f}",
    "MiB at the peak": lambda a: f"{a.peak_bytes / 2**20:.2f}",
    "first call, ms": lambda a: f"{a.first_call_ms:.1f}",
    "median call, ms": lambda a: f"{a.steady_call_ms:.2f}",
    "largest position": lambda a: str(a.max_position),
    "largest error": lambda a: f"{a.max_error:.1e}",
    "torch: tables built": lambda a: str(a.torch_rebuilds),
    "torch.compile: recompiles": lambda a: str(a.torch_recompiles),
}


def write_json(path: Path, environment: dict, found: dict[str, dict[str, Account]]) -> None:
    """`{"environment": ..., "traces": {trace: {strategy: {...}}}}`."""
    traces = {
        name: {strategy: asdict(a) for strategy, a in accounts.items()}
        for name, accounts in found.items()
    }
    path.write_text(
        json.dumps({"environment": environment, "traces": traces}, indent=1) + "\n",
        encoding="utf-8",
    )


def plot(path: Path | BinaryIO, found: dict[str, dict[str, Account]]) -> None:
    """Memory and compilations after each call of each trace, a line for each strategy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(
        2, len(found), figsize=(4.6 * len(found), 6.4), sharex="col", squeeze=False
    )
    for column, (name, accounts) in zip(axes.T, found.items(), strict=True):
        for index, (strategy, account) in enumerate(accounts.items()):
            style: dict = {"color": f"C{index}", "label": strategy, "drawstyle": "steps-post"}
            style["linestyle"] = ["-", "--", "-.", ":", (0, (5, 1))][index]
            column[0].plot([step["bytes"] / 2**20 for step in account.steps], **style)
            column[1].plot([step["compilations"] for step in account.steps], **style)
        column[0].set_title(name)
        column[1].set_xlabel("call")
        column[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("MiB held")
    axes[1, 0].set_ylabel("compilations so far")
    axes[0, 0].legend(frameon=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
