"""The one table of cases that tests, command and benchmarks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rope_spec import RopeSpec, context_length, read_config, spec_from_config

CONFIGS = Path(str(files("parity_tests").joinpath("configs")))
HEADS = 2
BEYOND = (-1, -2, -4097, -(2**31), 2**31 - 1, 2**31 - 2, 10**9 + 7, 2**24 + 1)  # int32, outside every context


@dataclass(frozen=True)
class Case:
    """One rotary embedding of one configuration."""

    name: str
    config: Mapping[str, Any]
    spec: RopeSpec
    length: int  # positions that the model was made for

    def positions(self, beyond: bool = False) -> np.ndarray:
        """Sampled positions, `(1, S)`: the ends, the powers of two and their neighbours, and some between.

        Args:
            beyond: also some that are negative or far outside the context.
        """
        powers = 2 ** np.arange(1, self.length.bit_length())
        between = np.random.default_rng(0).integers(0, self.length, 24)
        inside = np.concatenate([[0, 1, 2, 3, self.length - 1], powers - 1, powers, between])
        inside = np.unique(inside[inside < self.length])
        return np.concatenate([inside, BEYOND if beyond else []]).astype(np.int64)[None]

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


def case_of(name: str, config: str | Path | Mapping[str, Any]) -> Case:
    """The case of a config.json, by path or content."""
    values = read_config(config)
    return Case(name, values, spec_from_config(values), context_length(values))


def published() -> list[Case]:
    """Every configuration in `parity_tests/configs/`."""
    return [case_of(path.stem, path) for path in sorted(CONFIGS.glob("*.json"))]


def named(config: str) -> list[Case]:
    """The case of a config.json, or of transformers' default configuration for a model_type."""
    if Path(config).is_file():
        return [case_of(Path(config).stem if Path(config).stem != "config" else Path(config).parent.name or "config", config)]
    from transformers import CONFIG_MAPPING, AutoConfig

    if config not in CONFIG_MAPPING:
        raise ValueError(f"report: got {config!r}, expected the path of a config.json or a model_type of transformers.")
    return [case_of(config, AutoConfig.for_model(config).to_dict())]
