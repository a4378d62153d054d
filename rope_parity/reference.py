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
from rope_spec.config.towers import Tower, towers

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


FLOAT32_TABLES = {("Dots3NoteTextRotaryEmbedding", "indexed_attention")}  # whose model hands over x in float32
WITH_A_BATCH = ("Gemma4VisionRotaryEmbedding",)  # vision towers whose positions are `(B, S, A)`
PERMUTED = ("Ernie4_5_VLMoeTextRotaryEmbedding",)  # their ladder, not their table
SUMS = ("PeAudioEncoder", "PeAudioVideoEncoder", "PeVideoEncoder")  # they sum the products of a 2 x 2 matrix from +0


class Reference:
    """The rotary embedding of a model as transformers builds it from the same config.json.

    Raises:
        NoReference: transformers has no such model type, or no class or function of a form that is known.
    """

    name, mode = "transformers", "eager"

    def __init__(self, config: Mapping[str, Any], spec: RopeSpec, label: str | None = None):
        self.spec, self.is_vision = spec, (label or "").split(".")[0] == "vision"
        self.config = _tower_config(config, label)
        self.rotary = _rotary_class(type(self.config))(self.config)
        self.apply = _apply_function(type(self.config), spec)
        kind = type(self.rotary).__name__
        self.layer = _layer(self.rotary, self.config, label)
        self._prefix = "".join(f"{layer}_" for layer in self.layer.values())
        self._is_float32 = (kind, *self.layer.values()) in FLOAT32_TABLES
        self.loses_sign_of_zero = kind.removesuffix("RotaryEmbedding") in SUMS

    def inv_freq(self, positions: np.ndarray) -> np.ndarray | None:
        """float32 `(P,)`, in the state that a call with these positions leaves behind; None where it keeps a table alone."""
        self.cos_sin(positions, DTYPES["float32"])
        ladder = getattr(self.rotary, f"{self._prefix}inv_freq", None)
        if ladder is None:
            return None
        ladder = array(ladder)
        if type(self.rotary).__name__ in PERMUTED:
            ladder = -np.sort(-ladder)
        return ladder if len(ladder) == len(self.spec.pairs) else ladder[list(self.spec.pairs.rung)]

    @property
    def attention_factor(self) -> float | None:
        """What the class multiplies cos and sin by, a Python number; None where it keeps none."""
        return getattr(self.rotary, f"{self._prefix}attention_scaling", None)

    def cos_sin(self, positions: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin for x in `dtype`, one column for each pair: `(B, S, P)`; float32 where their table is complex."""
        tables = self._tables(positions, dtype)
        if "freqs_cis" in tables:
            table = tables["freqs_cis"]
            tables = {"cos": table.real, "sin": table.imag}
        cos, sin = (self._per_pair(tables[name]) for name in ("cos", "sin"))
        return cos.reshape(*positions.shape[:2], -1), sin.reshape(*positions.shape[:2], -1)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x, `(B, S, N, H)`, through transformers' class and function in the dtype of x.

        The function gets each head of each token as a sequence of its own, `(B S N, 1, 1, 2 P)`: the
        same to those that want the heads before the sequence and to those that want them after it.
        """
        y, rotated = tensor(x), slice(self.spec.start, self.spec.start + self.spec.rotary_dim)
        batch, length, heads, width = y[..., rotated].shape
        tables = self._tables(positions, x.dtype) | {"position_ids": tensor(positions)[..., None].flatten(2)}
        rows = {
            name: table.reshape(-1, length, 1, table.shape[-1]).expand(batch, length, heads, -1).flatten(0, 2)[:, None]
            for name, table in tables.items()
        }
        y[..., rotated] = self._apply(y[..., rotated].reshape(-1, 1, 1, width), rows).reshape(batch, length, heads, width)
        return array(y)

    def _apply(self, x: torch.Tensor, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        """The function of the model, with x where it wants no table: for the queries, and the keys too."""
        parameters = inspect.signature(self.apply).parameters.items()
        required = {name for name, parameter in parameters if parameter.default is parameter.empty}
        tables = {"cos", "sin", "freqs_cis"} & {name for name, _ in parameters}
        rotated = self.apply(**{name: rows.get(name, x) for name in required | tables})
        return rotated[0] if isinstance(rotated, tuple) else rotated

    def _tables(self, positions: np.ndarray, dtype: np.dtype) -> dict[str, torch.Tensor]:
        """Their tables by the argument of the function that takes them."""
        x = tensor(np.zeros(1, DTYPES["float32"] if self._is_float32 else dtype))
        tables = self.rotary(x, self._as_theirs(positions), **self.layer)
        if isinstance(tables, torch.Tensor):
            return {"freqs_cis": tables}
        names = [name for name in inspect.signature(self.apply).parameters if name in ("cos", "sin")]  # GPT-J: sin, cos
        return dict(zip(names, tables, strict=True))

    def _as_theirs(self, positions: np.ndarray) -> torch.Tensor:
        """`(B, S)`, and with A axes `(A, B, S)` for text, `(S, A)` for vision."""
        if self.is_vision and type(self.rotary).__name__ not in WITH_A_BATCH:
            return tensor(positions[0])
        is_text = self.spec.pairs.axes > 1 and not self.is_vision
        return tensor(np.ascontiguousarray(np.moveaxis(positions, -1, 0)) if is_text else positions)

    def _per_pair(self, table: torch.Tensor) -> np.ndarray:
        """One column for each pair, of one, of two neighbours, or of two blocks."""
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

    logging.set_verbosity_error()  # what a config lacks is said by rope_spec
    values = copy.deepcopy(dict(config))  # transformers writes into it
    model_type = values.pop("model_type")
    if model_type not in CONFIG_MAPPING:
        raise NoReference(f"transformers {version('transformers')} has no model type {model_type!r}")
    whole = AutoConfig.for_model(model_type, **values)
    text, tower = _towers(config, label)
    parts = [part for key, part in _inner(whole) if key == tower.keys.name]
    of_type = [part for part in parts if part.model_type == tower.model_type]
    if not parts and tower is not text:
        raise _absence(f"no {tower.keys.name!r}", type(whole))
    return next(iter([*of_type, *parts, whole.get_text_config()]))


def _towers(config: Mapping[str, Any], label: str | None) -> tuple[Tower, Tower]:
    """The text model, and the part of the model that a label is about."""
    name, (text, *others) = (label or "text").split(".")[0], towers(config).found
    by_key = [tower for tower in others if tower.keys.name.removesuffix("_config") == name]
    by_name = [tower for tower in others if tower.name == name]
    return text, next(iter([text] if text.name == name else [*by_key, *by_name, text]))


def _inner(config: Any) -> Iterator[tuple[str, Any]]:
    """The configurations inside one, each with its key, the outer ones first."""
    parts = [(key, part) for key, part in vars(config).items() if hasattr(part, "get_text_config")]
    yield from parts
    for _, part in parts:
        yield from _inner(part)


def _layer(rotary: Any, config: Any, label: str | None) -> dict[str, str]:
    """The argument that names a kind of layer, where transformers' kinds have rope parameters of their own."""
    argument = inspect.signature(rotary.forward).parameters.get("layer_type")
    kind = "indexed_attention" if label == "indexer" else (label or "").split(".")[-1]
    parameters = getattr(config, "rope_parameters", None) or {}
    if argument is None or (argument.default is None and not isinstance(parameters.get(kind), dict)):
        return {}
    if not hasattr(rotary, f"{kind}_inv_freq"):
        raise _absence(f"no table for {kind!r}, as no layer is of that kind,", type(config))
    return {"layer_type": kind}


def _parts(config_class: type) -> tuple[type, ...]:
    """What the models of a configuration class are made of."""
    from transformers import MODEL_MAPPING

    model = MODEL_MAPPING.get(config_class, None)
    return modeling.parts_of(config_class, model if inspect.isclass(model) else None)


def _rotary_class(config_class: type) -> type:
    rotary = modeling.rotary_class(_parts(config_class))
    if rotary is None:
        raise _absence("no rotary class, or several,", config_class)
    if not {"x", "position_ids"} <= inspect.signature(rotary.forward).parameters.keys():
        raise _absence(f"tables that do not come from positions ({rotary.__name__})", config_class)
    return rotary


def _apply_function(config_class: type, spec: RopeSpec) -> Any:
    """The function that rotates q and k; where a model has one for each layout, that of the spec."""
    functions = modeling.apply_functions(_parts(config_class))
    if len(functions) > 1:
        interleaves = spec.write not in (None, spec.read)
        functions = {name: value for name, value in functions.items() if name.endswith("_interleave") == interleaves}
    if len(functions) != 1:
        raise _absence(f"{', '.join(functions) or 'no function'} to rotate by", config_class)
    return next(iter(functions.values()))


def _absence(what: str, config_class: type) -> NoReference:
    return NoReference(f"transformers {version('transformers')} has {what} for {config_class.__name__}")
