"""transformers' own class and function for a configuration, on NumPy arrays."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from rope_spec import RopeSpec

from . import modeling
from .backends import array, tensor
from .measure import DTYPES


class NoReference(LookupError):
    """transformers has nothing that a rotary embedding can be compared with; the message says what is missing."""


def default_config(model_type: str) -> dict[str, Any]:
    """transformers' default configuration for a model_type."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"report: got {model_type!r}, expected the path of a config.json or a model_type of transformers.")
    return AutoConfig.for_model(model_type).to_dict()


class Reference:
    """The rotary embedding of a model as transformers builds it from the same config.json.

    Raises:
        NoReference: transformers has no such model type, or no class or function of the form that is known here.
    """

    name, mode = "transformers", "eager"

    def __init__(self, config: Mapping[str, Any], spec: RopeSpec, label: str | None = None):
        self.spec, self.is_vision = spec, _tower_name(label) == "vision"
        self.config = _tower_config(config, label)
        self.rotary = _rotary_class(type(self.config))(self.config)
        self.apply = _apply_function(type(self.config), spec)
        has_labels = "layer_type" in inspect.signature(self.rotary.forward).parameters and label in _labels(self.config)
        self.layer = {"layer_type": label} if has_labels else {}
        self._prefix = f"{label}_" if has_labels else ""

    def inv_freq(self, positions: np.ndarray) -> np.ndarray:
        """float32 `(P,)`, in the state that a call with these positions leaves behind."""
        self.cos_sin(positions, DTYPES["float32"])
        ladder = array(getattr(self.rotary, f"{self._prefix}inv_freq"))
        if type(self.rotary).__name__.startswith("Ernie4_5_VL"):  # it keeps the ladder permuted
            ladder = -np.sort(-ladder)
        return ladder if len(ladder) == len(self.spec.pairs) else ladder[list(self.spec.pairs.rung)]

    @property
    def attention_factor(self) -> float | None:
        """What the class multiplies cos and sin by, a Python number; None where it keeps none."""
        return getattr(self.rotary, f"{self._prefix}attention_scaling", None)

    def cos_sin(self, positions: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin, one column for each pair: `(B, S, P)`; in `dtype`, or in float32 where the table is complex."""
        tables = self._tables(positions, dtype)
        if "freqs_cis" in tables:
            table = tables["freqs_cis"]
            tables = {"cos": table.real, "sin": table.imag}
        cos, sin = (self._per_pair(tables[name]) for name in ("cos", "sin"))
        return cos.reshape(*positions.shape[:2], -1), sin.reshape(*positions.shape[:2], -1)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x, `(B, S, N, H)`, through transformers' class and function in the dtype of x.

        The function gets each head of each token as a sequence of its own, `(B S N, 1, 1, 2 P)`, which is the same to
        those that want the heads before the sequence and to those that want them after it.
        """
        y, rotated = tensor(x), slice(self.spec.start, self.spec.start + self.spec.rotary_dim)
        heads = y[..., rotated].shape
        rows = {
            name: table.reshape(-1, heads[1], 1, table.shape[-1]).expand(*heads[:3], -1).reshape(-1, 1, table.shape[-1])
            for name, table in self._tables(positions, x.dtype).items()
        }
        y[..., rotated] = self._apply(y[..., rotated].reshape(-1, 1, 1, heads[-1]), rows).reshape(heads)
        return array(y)

    def _apply(self, x: torch.Tensor, tables: dict[str, torch.Tensor]) -> torch.Tensor:
        """The function of the model, with x for each argument that is no table: the queries, and the keys too."""
        parameters = inspect.signature(self.apply).parameters.items()
        wanted = {name: tables.get(name, x) for name, p in parameters if name in tables or p.default is p.empty}
        rotated = self.apply(**wanted)
        return rotated[0] if isinstance(rotated, tuple) else rotated

    def _tables(self, positions: np.ndarray, dtype: np.dtype) -> dict[str, torch.Tensor]:
        """Their tables by the argument that takes them; positions are `(A, B, S)` for text with A axes, `(S, A)` for vision."""
        if self.is_vision:
            positions = positions[0]
        elif self.spec.pairs.axes > 1:
            positions = np.ascontiguousarray(np.moveaxis(positions, -1, 0))
        tables = self.rotary(tensor(np.zeros(1, dtype)), tensor(positions), **self.layer)
        if isinstance(tables, torch.Tensor) and tables.is_complex():
            return {"freqs_cis": tables}
        return dict(zip(("cos", "sin"), tables, strict=True))

    def _per_pair(self, table: torch.Tensor) -> np.ndarray:
        pairs = len(self.spec.pairs)
        if table.shape[-1] == pairs:
            return array(table)
        alternating = torch.equal(table[..., ::2], table[..., 1::2])
        return array(table[..., ::2] if alternating else table[..., :pairs])


def _tower_name(label: str | None) -> str:
    """What a label of `specs_from_config` begins with: the name of a tower, or of a kind of layer of the text model."""
    return (label or "text").split(".")[0]


def _tower_config(config: Mapping[str, Any], label: str | None) -> Any:
    """transformers' configuration object of the part of a model that a label is about."""
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # what a config lacks is said by rope_spec
    values = copy.deepcopy(dict(config))  # transformers writes into it
    model_type = values.pop("model_type")
    if model_type not in CONFIG_MAPPING:
        raise NoReference(f"transformers {version('transformers')} has no model type {model_type!r}")
    whole = AutoConfig.for_model(model_type, **values)
    key = f"{_tower_name(label)}_config"
    return next((part for name, part in _inner(whole) if name == key), whole.get_text_config())


def _inner(config: Any) -> Iterator[tuple[str, Any]]:
    """The configurations inside one, each with its key, the outer ones first."""
    parts = [(key, getattr(config, key, None)) for key in config.sub_configs]
    parts = [(key, part) for key, part in parts if hasattr(part, "sub_configs")]
    yield from parts
    for _, part in parts:
        yield from _inner(part)


def _labels(config: Any) -> set[str]:
    """The labels for which a configuration has rope parameters of their own."""
    return {key for key, value in (getattr(config, "rope_parameters", None) or {}).items() if isinstance(value, dict)}


def _rotary_class(config_class: type) -> type:
    rotary = modeling.rotary_class(config_class)
    if rotary is None or not {"x", "position_ids"} <= inspect.signature(rotary.forward).parameters.keys():
        what = f"{rotary.__name__}, whose tables do not come from positions" if rotary else "no rotary class"
        raise NoReference(f"transformers {version('transformers')} has {what} for {config_class.__name__}")
    return rotary


def _apply_function(config_class: type, spec: RopeSpec) -> Any:
    """The function that rotates q and k; where a model has one for each layout, that of the spec."""
    functions = modeling.apply_functions(config_class)
    if len(functions) > 1:
        interleaves = spec.write not in (None, spec.read)
        functions = {name: value for name, value in functions.items() if name.endswith("_interleave") == interleaves}
    if len(functions) != 1:
        names = ", ".join(functions) or "no function"
        raise NoReference(f"transformers {version('transformers')} has {names} to rotate by for {config_class.__name__}")
    return next(iter(functions.values()))
