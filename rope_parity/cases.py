"""The one table of cases that tests, command and benchmarks read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rope_spec import (
    Arithmetic,
    DynamicNTK,
    LongRope,
    RopeSpec,
    context_length,
    mrope_positions,
    read_config,
    reference_arithmetic,
    specs_from_config,
)
from rope_spec.config import Config

CONFIGS = Path(str(files("rope_parity").joinpath("configs")))
HEADS = 2
UNSAID, LONGEST = 4096, 2**31 - 1
# int32, outside every context
BEYOND = (-1, -2, -4097, -(2**31), 2**31 - 1, 2**31 - 2, 10**9 + 7, 2**24 + 1)


@dataclass(frozen=True)
class Case:
    """One rotary embedding of one configuration, at one length."""

    name: str
    spec: RopeSpec
    length: int  # positions from 0 up to here
    config: Mapping[str, Any] = field(default_factory=dict)
    label: str | None = None
    ignore: tuple[str, ...] = ()  # keys of the config that nothing reads

    @property
    def reference_arithmetic(self) -> Arithmetic:
        """How transformers computes this rotation."""
        return reference_arithmetic(self.config, self.label, ignore=self.ignore)

    @property
    def seq_len(self) -> int | None:
        """The current length, for the rules that depend on it."""
        return self.length if self.spec.depends_on_length else None

    def positions(self, beyond: bool = False) -> np.ndarray:
        """Sampled positions, `(1, S)`: ends, powers of two and their neighbours, random ones.

        For A axes `(1, S, A)`: the same numbers, in another order on each axis, and for three axes
        tokens of images.

        Args:
            beyond: also some that are negative or far outside the context.
        """
        rng = np.random.default_rng(0)
        powers = 2 ** np.arange(1, self.length.bit_length())
        inside = np.concatenate(
            [[0, 1, 2, 3, self.length - 1], powers - 1, powers, rng.integers(0, self.length, 24)]
        )
        positions = np.concatenate(
            [np.unique(inside[inside < self.length]), BEYOND if beyond else []]
        ).astype(np.int64)
        axes = self.spec.pairs.axes
        if axes == 1:
            return positions[None]
        shuffled = np.stack(
            [positions, *(rng.permutation(positions) for _ in range(axes - 1))], axis=-1
        )
        images = mrope_positions([4, (1, 12, 8), 3, (2, 4, 6), 5]) if axes == 3 else shuffled[:0]
        return np.concatenate([shuffled, images])[None]

    def x(self, dtype: np.dtype, seed: int = 0) -> np.ndarray:
        """Queries for `positions()`, `(2, S, N, H)`.

        The second batch row holds the values that arithmetic treats specially. That is zeros of
        both signs, infinities, NaN and subnormals of float16. Subnormals of float32 and bfloat16
        are left out: XLA's CPU compiler flushes them to zero, PyTorch keeps them.
        """
        shape = (2, self.positions().shape[1], HEADS, self.spec.head_dim)
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(shape)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 2.0**-24, -(2.0**-20), 1.5])
        x[1] = np.where(rng.random(shape[1:]) < 0.3, rng.choice(special, shape[1:]), x[1])
        return x.astype(dtype)


def cases_of(
    name: str, config: Config, model_type: str | None = None, ignore: Iterable[str] = ()
) -> list[Case]:
    """The cases of a config.json: one for each label.

    There are two where the frequencies depend on the length.

    Args:
        name: what the cases are called.
        config: as for `specs_from_config`.
        model_type: read the config as this type.
        ignore: keys that nothing reads and that you know to change nothing.
    """
    values = dict(read_config(config)) | ({"model_type": model_type} if model_type else {})
    ignore = tuple(ignore)
    specs = {
        label: spec
        for label, spec in specs_from_config(values, ignore=ignore).items()
        if spec is not None
    }
    cases = []
    for label, spec in specs.items():
        title = name if len(specs) == 1 else f"{name}, {label}"
        for suffix, length in _lengths(spec, _length(values)).items():
            cases.append(Case(title + suffix, spec, min(length, LONGEST), values, label, ignore))
    return cases


def _length(values: Mapping[str, Any]) -> int:
    """The context, or `UNSAID` where the configuration names none, as for a vision tower."""
    try:
        return context_length(values)
    except ValueError:
        return UNSAID


def _lengths(spec: RopeSpec, length: int) -> dict[str, int]:
    """The lengths to measure, by a suffix of the name: the end of the context.

    Where a rule depends on the length, also the original context and one beyond.
    """
    match spec.rule:
        case DynamicNTK(factor=factor):
            return {", short": length, ", long": max(int(factor * length), length + 1)}
        case LongRope(original_max_position_embeddings=original):
            return {", short": original, ", long": max(length, original + 1)}
    return {"": length}


def published() -> list[Case]:
    """Every configuration in `rope_parity/configs/`."""
    return [case for path in sorted(CONFIGS.glob("*.json")) for case in cases_of(path.stem, path)]


def named(config: str, model_type: str | None = None, ignore: Iterable[str] = ()) -> list[Case]:
    """The cases of a config.json, or of transformers' default configuration for a model_type."""
    return cases_of(*read(config), model_type, ignore)


def read(config: str) -> tuple[str, Mapping[str, Any]]:
    """The name and the values of a config.json, of a folder's, or of a default of transformers."""
    path = Path(config)
    if not path.exists():
        from .reference import default_config

        return config, default_config(config)
    named = path.resolve().parent if path.is_file() and path.stem == "config" else path.resolve()
    return named.stem, read_config(path)
