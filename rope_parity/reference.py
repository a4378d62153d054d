"""transformers' own class and function for a configuration, on NumPy arrays."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rope_spec import RopeSpec

from . import lookup, modeling
from .backends import array, tensor
from .lookup import NoReference as NoReference
from .measure import DTYPES

WITH_A_BATCH = ("Gemma4Vision",)  # vision towers whose positions are `(B, S, A)`
PERMUTED = ("Ernie4_5_VLMoeText",)  # they keep their ladder in another order than their table
FLOAT32_TABLES = {("Dots3NoteText", "indexed_attention")}  # whose model hands over x as float32
SUMS = ("PeAudioEncoder", "PeAudioVideoEncoder", "PeVideoEncoder")  # 2 x 2 matrices, summed from +0


def default_config(model_type: str) -> dict[str, Any]:
    """transformers' default configuration for a model_type."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if model_type not in CONFIG_MAPPING:
        expected = "the path of a config.json or a model_type of transformers"
        raise ValueError(f"report: got {model_type!r}, expected {expected}.")
    return AutoConfig.for_model(model_type).to_dict()


class Reference:
    """The rotary embedding of a model as transformers builds it from the same config.json.

    Raises:
        NoReference: transformers has no such model type, or no class or function of a known form.
    """

    name, mode = "transformers", "eager"

    def __init__(self, config: Mapping[str, Any], spec: RopeSpec, label: str | None = None) -> None:
        self.spec, self.is_vision = spec, (label or "").split(".")[0] == "vision"
        self.config = _tower_config(config, label)
        kind, parts = type(self.config), _parts(type(self.config))
        self.rotary = lookup.rotary_class(parts, kind)(self.config)
        self.apply = lookup.apply_function(parts, kind, spec)
        self.layer = lookup.layer_argument(self.rotary, self.config, label)
        self._kind = type(self.rotary).__name__.removesuffix("RotaryEmbedding")
        self._prefix = "".join(f"{layer}_" for layer in self.layer.values())

    @property
    def loses_sign_of_zero(self) -> bool:
        """Whether the function makes +0 of -0, which rotates as well but is another byte."""
        return self._kind in SUMS

    @property
    def attention_factor(self) -> float | None:
        """What the class multiplies cos and sin by, a Python number; None where it keeps none."""
        return getattr(self.rotary, f"{self._prefix}attention_scaling", None)

    def inv_freq(self, positions: np.ndarray) -> np.ndarray | None:
        """float32 `(P,)`, as a call with these positions leaves it.

        None where only a table is kept.
        """
        self.cos_sin(positions, DTYPES["float32"])
        buffer = getattr(self.rotary, f"{self._prefix}inv_freq", None)
        if buffer is None:
            return None
        ladder = -np.sort(-array(buffer)) if self._kind in PERMUTED else array(buffer)
        return (
            ladder
            if len(ladder) == len(self.spec.pairs)
            else ladder[list(self.spec.pairs.frequency_index)]
        )

    def cos_sin(self, positions: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin for x in `dtype`, `(B, S, P)`; float32 where their table is complex."""
        tables = self._tables(positions, dtype)
        if "freqs_cis" in tables:
            table = tables["freqs_cis"]
            tables = {"cos": table.real, "sin": table.imag}
        cos, sin = (self._per_pair(tables[name]) for name in ("cos", "sin"))
        return cos.reshape(*positions.shape[:2], -1), sin.reshape(*positions.shape[:2], -1)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x, `(B, S, N, H)`, through transformers' class and function in the dtype of x.

        The function gets each head of each token as a sequence of its own, `(B S N, 1, 1, 2 P)`:
        the same to functions that want the heads before the sequence and to those that want them
        after.
        """
        y, end = tensor(x), self.spec.start + self.spec.rotary_dim
        rotated = y[..., self.spec.start : end]
        tables = self._tables(positions, x.dtype)
        tables["position_ids"] = tensor(positions)[..., None].flatten(2)
        rows = {name: self._rows(table, rotated.shape) for name, table in tables.items()}
        rotated.copy_(
            self._apply(rotated.reshape(-1, 1, 1, rotated.shape[-1]), rows).view_as(rotated)
        )
        return array(y)

    def _rows(self, table: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """A table as one row for each head of each token, `(B S N, 1, width)`.

        It is `(S, ...)` or `(1, S, ...)`.
        """
        batch, length, heads, _ = shape
        rows = table.reshape(-1, length, 1, table.shape[-1]).expand(batch, length, heads, -1)
        return rows.flatten(0, 2)[:, None]

    def _apply(self, x: torch.Tensor, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        """The function, with x wherever it wants no table: for the queries, and the keys too."""
        parameters = inspect.signature(self.apply).parameters.items()
        required = {name for name, parameter in parameters if parameter.default is parameter.empty}
        tables = {"cos", "sin", "freqs_cis"} & {name for name, _ in parameters}
        rotated = self.apply(**{name: rows.get(name, x) for name in required | tables})
        return rotated[0] if isinstance(rotated, tuple) else rotated

    def _tables(self, positions: np.ndarray, dtype: np.dtype) -> dict[str, torch.Tensor]:
        """transformers' tables by the argument of the function that takes them."""
        is_float32 = (self._kind, *self.layer.values()) in FLOAT32_TABLES
        x = tensor(np.zeros(1, DTYPES["float32"] if is_float32 else dtype))
        tables = self.rotary(x, self._as_theirs(positions), **self.layer)
        if isinstance(tables, torch.Tensor):
            return {"freqs_cis": tables}
        arguments = inspect.signature(self.apply).parameters  # GPT-J: sin before cos
        return dict(
            zip((name for name in arguments if name in ("cos", "sin")), tables, strict=True)
        )

    def _as_theirs(self, positions: np.ndarray) -> torch.Tensor:
        """Positions for transformers: `(B, S)`, `(A, B, S)` for text, `(S, A)` for vision."""
        if self.is_vision and self._kind not in WITH_A_BATCH:
            return tensor(positions[0])
        if self.is_vision or self.spec.pairs.axes == 1:
            return tensor(positions)
        return tensor(np.ascontiguousarray(np.moveaxis(positions, -1, 0)))

    def _per_pair(self, table: torch.Tensor) -> np.ndarray:
        """One column for each pair, from a table that has one, two neighbours, or two blocks."""
        pairs = len(self.spec.pairs)
        if table.shape[-1] == pairs:
            return array(table)
        if torch.equal(table[..., ::2], table[..., 1::2]):
            return array(table[..., ::2])
        blocks = self.spec.blocks("half_per_axis") if self.spec.read == "half_per_axis" else 1
        return array(table.unflatten(-1, (blocks, 2, pairs // blocks))[..., 0, :].flatten(-2))


def _tower_config(config: Mapping[str, Any], label: str | None) -> Any:
    """transformers' configuration object of the part of a model that a label is about."""
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # rope_spec says what a config lacks
    values = copy.deepcopy(dict(config))  # transformers writes into it
    model_type = values.pop("model_type")
    if model_type not in CONFIG_MAPPING:
        raise lookup.absence("no model type", repr(model_type))
    whole = AutoConfig.for_model(model_type, **values)
    text, tower = lookup.text_and_tower(config, label)
    parts = [part for key, part in lookup.inner_configs(whole) if key == tower.keys.name]
    of_type = [part for part in parts if part.model_type == tower.model_type]
    if not parts and tower is not text:
        raise lookup.absence(f"no {tower.keys.name!r}", type(whole))
    return next(iter([*of_type, *parts, whole.get_text_config()]))


def _parts(config_class: type) -> lookup.Parts:
    """What the models of a configuration class are made of.

    InternLM3's model is of another type, Llama's.
    """
    from transformers import MODEL_MAPPING

    parts = modeling.parts_of(config_class)
    if parts or config_class not in MODEL_MAPPING:
        return parts
    model: Any = MODEL_MAPPING[config_class]
    return modeling.parts_from(model if isinstance(model, tuple) else [model])
