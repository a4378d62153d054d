"""What the guard against contraction costs: the rotation with it and without, in turns, and the median of their ratios.

Run: `python -m benchmarks.guard`. One process, jitted, q and k of 32 + 8 heads of 128 at 2048 positions; the allocator is kept
warm by the environment that the command sets for itself.
"""

import os
import sys
import time
from functools import partial

WARM = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
LAYOUTS = {"half": (1, 1), "interleaved": (64, 64), "de-interleave": (64, 1)}
REPEATS = 151


def main() -> None:
    """Print one row for each layout and dtype."""
    if os.environ.get("MALLOC_ARENA_MAX") != "1":  # glibc reads these once, at the start of a process
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.guard"], os.environ | WARM)
    import jax
    import jax.numpy as jnp
    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from rope_jax.rotation import rotate_pairs

    table = Table("layout", "dtype", "with, ms", "without, ms", "cost of the guard", "its quartiles")
    rng, console = np.random.default_rng(0), Console(width=110)
    jobs = [(name, *blocks, dtype) for name, blocks in LAYOUTS.items() for dtype in ("float32", "bfloat16", "float16")]
    for name, read, write, dtype in track(jobs, "timing", console=console, transient=True):
        q, k = (jnp.asarray(rng.standard_normal((1, 2048, heads, 128)), dtype) for heads in (32, 8))
        cos, sin = (jnp.asarray(rng.standard_normal((1, 2048, 1, 64)), jnp.float32) for _ in range(2))
        options = {"read": read, "write": write, "rotate_in": "float32"}
        rotate = {guard: jax.jit(partial(rotate_pairs, guard=guard, **options)) for guard in (True, False)}
        times: dict[bool, list[float]] = {True: [], False: []}
        for repeat in range(REPEATS):
            for guard in (True, False) if repeat % 2 else (False, True):
                start = time.perf_counter()
                jax.block_until_ready((rotate[guard](q, cos, sin), rotate[guard](k, cos, sin)))
                times[guard].append(time.perf_counter() - start)
        with_guard, without = (np.array(times[guard][5:]) * 1e3 for guard in (True, False))
        cost = np.percentile(with_guard / without - 1, [50, 25, 75])
        medians = f"{np.median(with_guard):.2f}", f"{np.median(without):.2f}"
        table.add_row(name, dtype, *medians, f"{cost[0]:+.1%}", f"{cost[1]:+.1%} to {cost[2]:+.1%}")
    console.print(table)


if __name__ == "__main__":
    main()
