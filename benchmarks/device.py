"""The rotation on an accelerator: `python -m benchmarks.device --json FILE`; `device.sh` runs it
with everything else.

Every road to the same q and k runs in one process, in an order that changes in each repetition. A
repetition puts several calls into the device's queue and waits once, so that a call costs what the
device needs for it, or what the host needs to start it. The bandwidth counts q and k read once and
written once; a copy of q and k stands beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import torch
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import rope_jax
import rope_torch
from rope_parity.backends import tensor
from rope_parity.environment import environment
from rope_parity.measure import DTYPES

from .jax_roads import PEERS
from .shapes import LAYOUTS, Shape
from .timing import RULER
from .torch_roads import transformers_class, transformers_function

COPY = "copy"
Call = Callable[[], object]
Wait = Callable[[object], object]


@dataclass(frozen=True)
class Record:
    """One road: microseconds a call, the ratio of its median to that of `x + 1`, and the bandwidth
    that it achieves.
    """

    framework: str
    phase: str
    length: int
    layout: str
    dtype: str
    road: str
    median_us: float
    quartiles_us: tuple[float, float]
    ratio: float
    gigabytes_per_second: float


def failures(roads: dict[str, Call], wait: Wait) -> dict[str, str]:
    """Each road taken twice: those that compile are compiled and warm, those that raise are taken
    out, with the reason.
    """
    reasons = {}
    for name, call in list(roads.items()):
        try:
            wait([call() for _ in range(2)][-1])
        except (
            Exception
        ) as error:  # an old version of a framework: the other roads are still worth their figures
            reasons[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            del roads[name]
    return reasons


def measure(roads: dict[str, Call], wait: Wait, repeats: int, calls: int) -> dict[str, list[float]]:
    """Microseconds a call, for each repetition of each road."""
    rng, times = np.random.default_rng(0), {name: [] for name in roads}
    for _ in range(repeats):
        for name in rng.permutation(list(roads)):
            start = time.perf_counter()
            for _ in range(calls - 1):
                roads[name]()
            wait(roads[name]())
            times[name].append((time.perf_counter() - start) / calls * 1e6)
    return times


def jax_roads(shape: Shape, dtype: str, phase: str) -> tuple[dict[str, Call], Wait]:
    """Jitted, `(B, S, N, H)`."""
    spec, positions = shape.spec, jnp.asarray(shape.positions())
    sizes = [(shape.batch, shape.length, heads, spec.head_dim) for heads in shape.heads]
    q, k = (jax.random.normal(jax.random.key(0), size, jnp.float32).astype(dtype) for size in sizes)
    cos, sin = rope_jax.cos_sin(spec, positions)
    both = lambda form: lambda q, k, *tables: (form(q, *tables), form(k, *tables))
    found: dict[str, Call] = {
        COPY: _jitted(both(jnp.copy), q, k),
        RULER: _jitted(both(lambda x: x + 1), q, k),
    }
    if phase == "from cos and sin":
        found["rope_jax"] = _jitted(both(partial(_rotate, spec)), q, k, cos, sin)
        for name, form in PEERS.get(shape.layout, {}).items():
            found[name] = _jitted(both(form), q, k, cos[..., None, :], sin[..., None, :])
        return found, jax.block_until_ready
    for strategy in ("fixed", "split_table", "table_free"):
        cache = rope_jax.init_cache(spec, strategy, 131_072)
        from_cache = lambda q, k, cache, p: both(partial(_rotate, spec))(
            q, k, *rope_jax.lookup(cache, p)
        )
        found[f"rope_jax, {strategy}"] = _jitted(from_cache, q, k, cache, positions)
    return found, jax.block_until_ready


def _rotate(spec, x, cos, sin):
    return rope_jax.rotate(spec, x, cos, sin)


def _jitted(f: Callable[..., object], *arguments: object) -> Call:
    with jax.numpy_dtype_promotion("standard"):  # peers promote
        compiled = jax.jit(f).lower(*arguments).compile()
    return lambda: compiled(*arguments)


def torch_roads(shape: Shape, dtype: str, phase: str) -> tuple[dict[str, Call], Wait]:
    """Eager and compiled, `(B, N, S, H)`; transformers in x.dtype, as its models run it."""
    on, spec = "cuda" if torch.cuda.is_available() else "cpu", shape.spec
    sizes = [(shape.batch, heads, shape.length, spec.head_dim) for heads in shape.heads]
    q, k = (torch.randn(size, device=on).to(getattr(torch, dtype)) for size in sizes)
    positions = tensor(shape.positions()).to(on)
    table = rope_torch.cos_sin(spec, positions)
    both = lambda q, k, cos, sin: [rope_torch.rotate(spec, x, cos, sin) for x in (q, k)]
    forms: dict[str, Callable[..., object]] = {}
    if phase == "from cos and sin":
        arguments = q, k, *table
        forms["rope_torch"] = both
        if theirs := transformers_function(shape.layout, "input"):
            forms["transformers"] = theirs
    else:
        arguments = q, k, positions
        for strategy in ("fixed", "table_free"):
            cache = rope_torch.init_cache(spec, strategy, 131_072, device=on)
            forms[f"rope_torch, {strategy}"] = partial(_from_cache, both, cache)
        if shape.layout == "half":
            forms["transformers"] = transformers_class(shape, on)
    found: dict[str, Call] = {COPY: lambda: (q.clone(), k.clone()), RULER: lambda: (q + 1, k + 1)}
    torch._dynamo.reset()
    for name, form in forms.items():
        found[name] = partial(form, *arguments)
        found[f"{name}, compiled"] = partial(torch.compile(form, dynamic=False), *arguments)
    return found, (lambda _: torch.cuda.synchronize()) if on == "cuda" else (lambda _: None)


def _from_cache(both, cache, q, k, positions):
    return both(q, k, *rope_torch.lookup(cache, positions))


def jobs(lengths: tuple[int, ...], batch: int) -> Iterator[tuple[str, str, Shape, str]]:
    """Halves first, from cos and sin, in each framework: what matters most, should the time run
    out.
    """
    for layout, phase in (
        ("half", "from cos and sin"),
        ("half", "from positions"),
        ("interleaved", "from cos and sin"),
        ("de-interleave", "from cos and sin"),
    ):
        for length in lengths:
            shape = Shape(
                f"prefill {length}, batch {batch}", batch, length, (32, 8), LAYOUTS[layout], layout
            )
            for framework in ("jax", "torch"):
                for dtype in DTYPES:
                    yield framework, phase, shape, dtype


def records(
    framework: str,
    phase: str,
    shape: Shape,
    dtype: str,
    repeats: int,
    calls: int,
    failed: dict[str, str],
) -> Iterator[Record]:
    """The roads of one job, timed; why a road failed goes to `failed`."""
    roads, wait = (jax_roads if framework == "jax" else torch_roads)(shape, dtype, phase)
    job = f"{framework}, {phase}, {shape.length}, {shape.layout}, {dtype}"
    failed |= {f"{job}: {road}": reason for road, reason in failures(roads, wait).items()}
    times = measure(roads, wait, repeats, calls)
    ruler = float(np.median(times[RULER]))
    size = (
        shape.batch * shape.length * sum(shape.heads) * shape.spec.head_dim * DTYPES[dtype].itemsize
    )
    for road, found in times.items():
        low, middle, high = np.percentile(found, [25, 50, 75]).tolist()
        figures = middle, (low, high), middle / ruler, 2 * size / middle / 1e3
        yield Record(framework, phase, shape.length, shape.layout, dtype, road, *figures)


def table(found: list[Record]) -> Table:
    """One row for each road."""
    grid = Table("job", "road", box=SIMPLE_HEAD)
    for head in ("us", "quartiles", "ratio", "GB/s"):
        grid.add_column(head, justify="right")
    for r in found:
        job = (
            f"{r.framework}, {r.phase}, {r.length}, {r.layout}, {r.dtype}" if r.road == COPY else ""
        )
        quartiles = f"{r.quartiles_us[0]:.0f} to {r.quartiles_us[1]:.0f}"
        grid.add_row(
            job,
            r.road,
            f"{r.median_us:.0f}",
            quartiles,
            f"{r.ratio:.2f}",
            f"{r.gigabytes_per_second:.0f}",
        )
    return grid


def main(
    json_: Annotated[
        Path, typer.Option("--json", help="Write every record to this file, after each job.")
    ],
    lengths: Annotated[str, typer.Option(help="Positions of each sequence.")] = "2048,8192",
    batch: Annotated[int, typer.Option(min=1)] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions of each road.")] = 15,
    calls: Annotated[
        int, typer.Option(min=1, help="Calls in a repetition, which waits once.")
    ] = 20,
    seconds: Annotated[
        float, typer.Option(help="Start no job after this time; the file says which were left out.")
    ] = 200,
) -> None:
    """Time the rotation on the device that jax and torch see."""
    start, found, left_out, failed = time.monotonic(), [], [], {}
    for framework, phase, shape, dtype in jobs(tuple(map(int, lengths.split(","))), batch):
        if time.monotonic() - start > seconds:
            left_out.append(f"{framework}, {phase}, {shape.length}, {shape.layout}, {dtype}")
            continue
        found += records(framework, phase, shape, dtype, repeats, calls, failed)
        _write(json_, found, left_out, failed)
    _write(json_, found, left_out, failed)
    Console(width=132).print(
        table(found), *(f"left out, for lack of time: {job}" for job in left_out), sep="\n"
    )
    Console(width=132).print(
        *(f"failed: {road}: {reason}" for road, reason in failed.items()), sep="\n"
    )


def _write(path: Path, found: list[Record], left_out: list[str], failed: dict[str, str]) -> None:
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    data = {
        "environment": environment() | {"card": card},
        "left_out": left_out,
        "failed": failed,
        "records": list(map(asdict, found)),
    }
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
