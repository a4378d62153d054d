"""The benchmark in one process: `python -m benchmarks.run`.

Its arguments are `warm|default FILE REPEATS [PART OF A JOB'S NAME]`.

glibc reads how it allocates once, at the start of a process, so `python -m benchmarks` starts this
one for each allocator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from .timing import WARM, Record, measure, records

ROUNDS = 3  # minutes apart: what else runs on a shared machine changes meanwhile


def both_allocators(repeats: int, only: str) -> tuple[list[Record], str]:
    """Every job under either allocator, a process for each; and how the system scheduled them."""
    with tempfile.TemporaryDirectory() as folder:
        all_records, scheduling = [], ""
        for allocator in ("warm", "default"):
            environment = {name: value for name, value in os.environ.items() if name not in WARM}
            path = Path(folder) / allocator
            command = [
                sys.executable,
                "-m",
                "benchmarks.run",
                allocator,
                str(path),
                str(repeats),
                only,
            ]
            subprocess.run(
                command, env=environment | (WARM if allocator == "warm" else {}), check=True
            )
            found = json.loads(path.read_text())
            all_records += [Record(**record) for record in found["records"]]
            scheduling = found["scheduling"]
    return all_records, scheduling


def scheduled() -> str:
    """Asks that a thread that wakes runs at once, which needs a privilege, and says how the threads
    of this process will run.

    Else Linux may let it wait behind the thread that woke it while another core is idle: up to a
    tick, where calls take one.
    """
    with suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return "first in, first out"
    return "as usual"


def main(allocator: str, path: str, repeats: str, only: str) -> None:
    """Measure and write the records."""
    scheduling = scheduled()  # before the frameworks start their threads
    from . import jax_roads, torch_roads

    jobs = [job for roads in (jax_roads, torch_roads) for job in roads.jobs() if only in job.name]
    times = [defaultdict(list) for _ in jobs]
    rounds = [pair for _ in range(ROUNDS) for pair in zip(jobs, times, strict=True)]
    for job, of_job in track(
        rounds, f"timing, {allocator} allocator", console=Console(stderr=True), transient=True
    ):
        for road, found in measure(job, int(repeats)).items():
            of_job[road] += found
    found = [
        asdict(record)
        for job, of_job in zip(jobs, times, strict=True)
        for record in records(job, of_job, allocator)
    ]
    Path(path).write_text(json.dumps({"scheduling": scheduling, "records": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
