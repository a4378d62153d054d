"""Roads side by side: one process, repetitions in turns, medians with quartiles, as a ratio
to `x + 1` on the same arrays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RULER = "x + 1"
SWEEP = "sweep"  # no road: what is done, untimed, before each call
# glibc keeps the memory that it has: without these, q of 32 MiB costs 8193 page faults in each call
WARM = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclass(frozen=True)
class Job:
    """Roads to the same result, `x + 1` among them: `{name: call}`.

    A call returns when the result is there.
    """

    shape: str
    order: str  # of the axes of q and k
    layout: str
    dtype: str
    arithmetic: str  # the dtype inside
    phase: str  # forward or backward from cos and sin, or forward from positions
    framework: str
    roads: Callable[[], dict[str, Callable[[], object]]]  # and the sweep

    @property
    def name(self) -> str:
        return ", ".join(
            (
                self.framework,
                self.shape,
                self.order,
                self.layout,
                self.dtype,
                self.arithmetic,
                self.phase,
            )
        )


@dataclass(frozen=True)
class Record:
    """One road of a job; times in milliseconds, ratio of the medians."""

    shape: str
    order: str
    layout: str
    dtype: str
    arithmetic: str
    phase: str
    framework: str
    road: str
    allocator: str
    median_ms: float
    quartiles: tuple[float, float]
    ratio: float


def measure(job: Job, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every road of a job; the first two calls of each, which compile and warm up,
    are not counted.

    The order changes in each repetition, and before each call the job's sweep adds 1 to another
    array, of twice as many float32 numbers as q and k have: as between two rotations of a model,
    threads are awake, and a prefill's q and k are in no cache, while what a decoded token needs may
    well be.
    """
    roads, rng = job.roads(), np.random.default_rng(0)
    sweep = roads.pop(SWEEP)
    times: dict[str, list[float]] = {name: [] for name in roads}
    for repeat in range(repeats + 2):
        for name in rng.permutation(list(roads)):
            sweep()
            start = time.perf_counter()
            roads[name]()
            if repeat > 1:
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def records(job: Job, times: Mapping[str, Sequence[float]], allocator: str) -> Iterator[Record]:
    """Median and quartiles of each road, and the ratio to the ruler's median."""
    labels = {
        name: getattr(job, name)
        for name in ("shape", "order", "layout", "dtype", "arithmetic", "phase", "framework")
    }
    ruler = float(np.median(times[RULER]))
    for road, found in times.items():
        low, middle, high = np.percentile(found, [25, 50, 75]).tolist()
        figures = {"median_ms": middle, "quartiles": (low, high), "ratio": middle / ruler}
        yield Record(**labels, road=road, allocator=allocator, **figures)
