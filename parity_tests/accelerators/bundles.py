"""How many bundles a TPU issues for a rotation: `python -m parity_tests.accelerators.bundles FILE`.

A bundle holds the instructions that are issued together. XLA's compiler writes those of each kernel
to a folder. The bundles of a loop are counted, and multiplied by its steps: nothing is run, and no
bundle waits for memory. The figures go into FILE as JSON, and the table of docs/three_compilers.md
is printed.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import jax
import jax.numpy as jnp

import rope_jax
from rope_spec import Pairs, RopeSpec

from .aot import compiled
from .programs import concatenated

CHIPS, DTYPES = ["v5e", "v6e"], ["bfloat16", "float32"]
SHAPE = 1, 65536, 32, 128
REGISTER = 4096  # bytes: 8 x 128 numbers of float32, or 16 x 128 of bfloat16
SPECS = {
    "half": RopeSpec(head_dim=128),
    "interleaved": RopeSpec(head_dim=128, read="interleaved"),
    "half per axis": RopeSpec(
        head_dim=128, pairs=Pairs.axial(rotary_dim=128), read="half_per_axis"
    ),
    "96 of 128": RopeSpec(head_dim=128, pairs=Pairs.single(rotary_dim=96)),
    "de-interleave": RopeSpec(head_dim=128, read="interleaved", write="half"),
}
BUNDLE = re.compile(r"\s*(?:0x[0-9a-f]+|0)\s+(\w\w)?[^:]*:")
LAST_STEP = re.compile(r"totalorder %\w+, (\d+) /\* loop exit test")
PIPELINE = 2  # more steps of a loop than there are blocks: the next is read, the last is written


def programs() -> dict[str, dict[str, tuple[RopeSpec, Callable]]]:
    """What is compiled, for x, cos and sin: by layout and form."""
    each = {
        layout: {
            "rope_jax.rotate": (spec, partial(rope_jax.rotate, spec)),
            "concatenated": (spec, partial(concatenated, spec)),
        }
        for layout, spec in SPECS.items()
    }
    one = lambda x, cos, sin: x + jnp.ones((), x.dtype)
    return {**each, "any": {"x + 1": (SPECS["half"], one)}}


@cache
def folder() -> Path:
    """Where the bundles are written. `libtpu` has to be told before it compiles the first time."""
    folder = mkdtemp()
    os.environ["LIBTPU_INIT_ARGS"] = f"--xla_jf_dump_to={folder} --xla_jf_dump_llo_text=true"
    return Path(folder)


def per_register(chip: str, f: Callable, *shapes: jax.ShapeDtypeStruct) -> float:
    """The bundles of the program, for each vector register that x fills."""
    for path in folder().iterdir():
        path.unlink()
    compiled(chip, f, *shapes)
    registers = shapes[0].size * shapes[0].dtype.itemsize / REGISTER
    return round(sum(map(issued, kernels())) / registers, 2)


def kernels() -> Iterator[str]:
    """The text of each kernel that was compiled last."""
    for path in folder().glob("*-final_bundles.txt"):
        if not re.search("-TLP-|late-|schedule-analysis", path.name):
            yield path.read_text()


def issued(kernel: str) -> int:
    """The bundles of a kernel, those of its loop once for each step.

    Inner loops are counted once: they are in copies of tables alone.
    """
    lines = [line for line in kernel.splitlines() if BUNDLE.match(line)]
    ends = [(i, LAST_STEP.search(line)) for i, line in enumerate(lines) if LAST_STEP.search(line)]
    if not ends:
        return len(lines)
    [(end, last)] = ends
    begin = next(i for i, line in enumerate(lines) if BUNDLE.match(line)[1] == "LB")
    body = end - begin + 1
    return len(lines) + body * (int(last[1]) - PIPELINE - 1)


def figures(chip: str, dtype: str, spec: RopeSpec, f: Callable) -> float:
    """The bundles of one form, for x `(1, 65536, 32, 128)`."""
    x = jax.ShapeDtypeStruct(SHAPE, dtype)
    table = jax.ShapeDtypeStruct((*SHAPE[:2], len(spec.pairs)), jnp.float32)
    return per_register(chip, f, x, table, table)


def markdown(measured: dict) -> list[str]:
    """The table of docs/three_compilers.md."""
    columns = list(next(iter(next(iter(measured.values())).values())))
    lines = [f"| layout | form | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for layout, forms in measured.items():
        for name, counts in forms.items():
            cells = " | ".join(f"{count:.1f}" for count in counts.values())
            lines.append(f"| {layout} | {name} | {cells} |")
    return lines


def main(file: str) -> None:
    columns = [(chip, dtype) for chip in CHIPS for dtype in DTYPES]
    measured = {
        layout: {
            name: {f"{chip}, {dtype}": figures(chip, dtype, *what) for chip, dtype in columns}
            for name, what in forms.items()
        }
        for layout, forms in programs().items()
    }
    Path(file).write_text(json.dumps(measured, indent=1) + "\n")
    print("\n".join(markdown(measured)))


if __name__ == "__main__":
    main(sys.argv[1])
