"""Test vectors for any language.

The numbers are safetensors; JSON says what they mean and the mistake that each catches, and
`vectors.schema.json` what may stand in that JSON.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rope_spec import DynamicNTK, Llama3, LongRope, Pairs, RopeSpec, Yarn, inverse_frequencies

from .array_files import write
from .doctor.compare import angle_room, expected, image

VERSION = "1"  # of index.json, its schema and the files of numbers
SCHEMA = Path(__file__).parent / "vectors.schema.json"
ROWS, HEADS, LONGEST = 12, 2, 131072
TOLERANCE = "|y - expected| <= tolerance * |x|, elementwise, with |x| the largest element of x"


class Vector(NamedTuple):
    """A description, and the mistake that its numbers show."""

    name: str
    spec: RopeSpec
    catches: str
    seq_len: int | None = None


def _plain(**more: Any) -> RopeSpec:
    return RopeSpec(**{"head_dim": 64, "pairs": Pairs.single(rotary_dim=64)} | more)


LONG = LongRope(tuple(1 + k / 64 for k in range(32)), tuple(1 + k for k in range(32)), 4096, 32.0)
VECTORS = (
    Vector("half", _plain(), "pairs read as neighbours; a table shorter than 131072"),
    Vector("interleaved", _plain(read="interleaved"), "pairs read as halves"),
    Vector(
        "deinterleave", _plain(read="interleaved", write="half"), "halves written as neighbours"
    ),
    Vector(
        "part", _plain(head_dim=80), "the whole head is rotated, or channels behind are changed"
    ),
    Vector("start", _plain(head_dim=96, start=32), "the first channels are rotated, not the last"),
    Vector("theta", _plain(theta=500000.0), "theta is left at 10000"),
    Vector("negative", _plain(sign=-1), "pairs turn the other way round"),
    Vector(
        "llama3", _plain(theta=5e5, rule=Llama3(8.0, 1.0, 4.0, 8192)), "the scaling is not applied"
    ),
    Vector(
        "yarn", _plain(rule=Yarn(40.0, 4096)), "the attention factor is missing or applied twice"
    ),
    Vector("longrope_short", _plain(rule=LONG), "the long factors are used at once", 4096),
    Vector("longrope_long", _plain(rule=LONG), "the short factors are used beyond", LONGEST),
    Vector(
        "dynamic", _plain(rule=DynamicNTK(4.0, 2048)), "theta does not grow with the length", 8192
    ),
    Vector(
        "sections",
        _plain(pairs=Pairs.sections(mrope_section=(8, 12, 12))),
        "coordinates are exchanged",
    ),
)


def write_vectors(folder: Path) -> int:
    """Write every vector, `index.json` and its schema; return the number of vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [_write(folder, number, vector) for number, vector in enumerate(VECTORS)]
    index = {"$schema": SCHEMA.name, "format": "rope-parity vectors", "version": VERSION}
    index |= {"tolerance": TOLERANCE, "arrays": ARRAYS, "vectors": entries}
    (folder / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    shutil.copyfile(SCHEMA, folder / SCHEMA.name)
    return len(entries)


ARRAYS = {
    "positions": "int32 (S, A): the A coordinates of each token",
    "x": "float32 (S, N, H): tokens, heads, channels",
    "inv_freq": "float64 (P,): radians per position of each pair",
    "y": "float32 (S, N, H): the rotated x, from exact arithmetic",
    "tolerance": (
        "float32 (S, 1, 1): what float32 angles and products may miss by, as a share of |x|"
    ),
}


def _write(folder: Path, number: int, vector: Vector) -> dict:
    spec, rng = vector.spec, np.random.default_rng(number)
    longest = vector.seq_len or LONGEST
    positions = rng.integers(0, longest, (ROWS, spec.pairs.axes))
    positions[:3] = [[0], [1], [longest - 1]]
    x = rng.standard_normal((ROWS, HEADS, spec.head_dim)).astype(np.float32)
    what = expected(spec, vector.seq_len)
    y = np.stack([image(spec, what, x[:, n].astype(float), positions) for n in range(HEADS)], 1)
    room = angle_room(np.abs(positions[:, what.axis] * what.w), what.w).max(axis=1) + 8 * 2.0**-24
    write(
        folder / f"{vector.name}.safetensors",
        {
            "positions": positions.astype(np.int32),
            "x": x,
            "inv_freq": inverse_frequencies(spec, vector.seq_len).inv_freq,
            "y": y.astype(np.float32),
            "tolerance": (what.factor * room).astype(np.float32)[:, None, None],
        },
        {"format": "rope-parity vector", "version": VERSION},
    )
    rule = None if spec.rule is None else {"name": type(spec.rule).__name__} | asdict(spec.rule)
    described = asdict(spec) | {
        "rule": rule,
        "attention_factor": what.factor,
        "length": vector.seq_len,
    }
    file = f"{vector.name}.safetensors"
    return {"name": vector.name, "file": file, "catches": vector.catches, "spec": described}
