"""Shapes without a bound, and a TPU v5p: `python -m parity_tests.accelerators.more_shapes`.

It prints a table of docs/three_compilers.md: bytes to and from memory, of those that have to be
moved, of `rope_jax.rotate` and of the rotation by concatenation.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import rope_jax
from rope_spec import RopeSpec

from . import hbm
from .aot import compiled
from .programs import concatenated

CHIPS = ["v5e", "v6e", "v5p"]
SHAPES = {  # of x, and its dtype
    "65536 tokens, bfloat16": ((1, 65536, 32, 128), "bfloat16"),
    "65536 tokens, float16": ((1, 65536, 32, 128), "float16"),
    "one head": ((1, 2097152, 1, 128), "bfloat16"),
    "one token": ((65536, 1, 32, 128), "bfloat16"),
    "77 tokens": ((851, 77, 32, 128), "bfloat16"),
}
HALF = RopeSpec(head_dim=128)
FORMS = rope_jax.rotate, concatenated


def moved(chip: str, f: Callable, shape: tuple[int, ...], dtype: str) -> float:
    """Bytes to and from memory, as multiples of those of the arguments and the result."""
    table = jax.ShapeDtypeStruct((*shape[:2], shape[-1] // 2), jnp.float32)
    text = compiled(chip, f, jax.ShapeDtypeStruct(shape, dtype), table, table)
    return hbm.moved(text) / hbm.required(text)


def row(name: str) -> str:
    """Ours and theirs, for each chip."""
    cells = (
        ", ".join(f"{moved(chip, partial(form, HALF), *SHAPES[name]):.2f}" for form in FORMS)
        for chip in CHIPS
    )
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(f"| x | {' | '.join(CHIPS)} |", "|---" * (len(CHIPS) + 1) + "|", sep="\n")
    for name in SHAPES:
        print(row(name), flush=True)
