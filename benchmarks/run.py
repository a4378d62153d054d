"""The benchmark in one process: `python -m benchmarks.run warm|default FILE REPEATS [PART OF A JOB'S NAME]`.

glibc reads how it allocates once, at the start of a process, so `python -m benchmarks` starts this one for each allocator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from .timing import WARM, Record, measure


def both_allocators(repeats: int, only: str) -> tuple[list[Record], str]:
    """Every job under either allocator, a process for each; and how the system scheduled them."""
    with tempfile.TemporaryDirectory() as folder:
        records, scheduling = [], ""
        for allocator in ("warm", "default"):
            environment = {name: value for name, value in os.environ.items() if name not in WARM}
            path = Path(folder) / allocator
            command = [sys.executable, "-m", "benchmarks.run", allocator, str(path), str(repeats), only]
            subprocess.run(command, env=environment | (WARM if allocator == "warm" else {}), check=True)
            found = json.loads(path.read_text())
            records, scheduling = records + [Record(**record) for record in found["records"]], found["scheduling"]
    return records, scheduling


def scheduled() -> str:
    """Asks that a thread that wakes runs at once, which needs a privilege, and says how the threads of this process will run.

    Else Linux may let it wait behind the thread that woke it while another core is idle: up to a tick, where calls take one.
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
    records = []
    for job in track(jobs, f"timing, {allocator} allocator", console=Console(stderr=True), transient=True):
        records += measure(job, int(repeats), allocator)
    Path(path).write_text(json.dumps({"scheduling": scheduling, "records": [asdict(record) for record in records]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
