"""The one table of cases that tests, command and benchmarks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rope_spec import DynamicNTK, LongRope, RopeSpec, context_length, mrope_positions, read_config, specs_from_config

CONFIGS = Path(str(files("rope_parity").joinpath("configs")))
HEADS = 2
BEYOND = (-1, -2, -4097, -(2**31), 2**31 - 1, 2**31 - 2, 10**9 + 7, 2**24 + 1)  # int32, outside every context


@dataclass(frozen=True)
class Case:
    """One rotary embedding of one configuration, at one length."""

    name: str
    spec: RopeSpec
    length: int  # positions from 0 up to here
    config: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None

    @property
    def seq_len(self) -> int | None:
        """The current length, for the rules that depend on it."""
        return self.length if self.spec.depends_on_length else None

    def positions(self, beyond: bool = False) -> np.ndarray:
        """Sampled positions, `(1, S)`: the ends, the powers of two and their neighbours, and some between.

        For A axes `(1, S, A)`: the same numbers, in another order on each axis, and for three axes tokens of images.

        Args:
            beyond: also some that are negative or far outside the context.
        """
        rng = np.random.default_rng(0)
        powers = 2 ** np.arange(1, self.length.bit_length())
        inside = np.concatenate([[0, 1, 2, 3, self.length - 1], powers - 1, powers, rng.integers(0, self.length, 24)])
        positions = np.concatenate([np.unique(inside[inside < self.length]), BEYOND if beyond else []]).astype(np.int64)
        axes = self.spec.pairs.axes
        if axes == 1:
            return positions[None]
        shuffled = np.stack([positions, *(rng.permutation(positions) for _ in range(axes - 1))], axis=-1)
        images = mrope_positions([4, (1, 12, 8), 3, (2, 4, 6), 5]) if axes == 3 else shuffled[:0]
        return np.concatenate([shuffled, images])[None]

    def x(self, dtype: np.dtype, seed: int = 0) -> np.ndarray:
        """Queries for `positions()`, `(2, S, N, H)`; the second of the batch holds what arithmetic treats specially.

        That is zeros of both signs, infinities, NaN and subnormals of float16. Subnormals of float32 and bfloat16 are left
        out: XLA's CPU compiler flushes them to zero, PyTorch keeps them.
        """
        shape = (2, self.positions().shape[1], HEADS, self.spec.head_dim)
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(shape)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**-24, -(2.0**-20), 1.5])
        x[1] = np.where(rng.random(shape[1:]) < 0.3, rng.choice(special, shape[1:]), x[1])
        return x.astype(dtype)


def cases_of(name: str, config: str | Path | Mapping[str, Any]) -> list[Case]:
    """The cases of a config.json: one for each label, two where the frequencies depend on the length."""
    values = read_config(config)
    specs = {label: spec for label, spec in specs_from_config(values).items() if spec is not None}
    cases = []
    for label, spec in specs.items():
        title = name if len(specs) == 1 else f"{name}, {label}"
        lengths = _lengths(spec, context_length(values))
        for suffix, length in lengths.items():
            cases.append(Case(title + suffix, spec, length, values, label))
    return cases


def _lengths(spec: RopeSpec, length: int) -> dict[str, int]:
    match spec.rule:
        case DynamicNTK(factor=factor):
            return {", short": length, ", long": int(factor * length)}
        case LongRope(original_max_position_embeddings=original):
            return {", short": original, ", long": length}
    return {"": length}


def published() -> list[Case]:
    """Every configuration in `rope_parity/configs/`."""
    return [case for path in sorted(CONFIGS.glob("*.json")) for case in cases_of(path.stem, path)]


def named(config: str) -> list[Case]:
    """The cases of a config.json, or of transformers' default configuration for a model_type."""
    path = Path(config)
    if path.is_file():
        return cases_of(path.parent.name if path.stem == "config" else path.stem, path)
    from .reference import default_config

    return cases_of(config, default_config(config))
