"""transformers' own class and function for a configuration, on NumPy arrays."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rope_spec import RopeSpec

from .backends import array, tensor
from .measure import DTYPES


def default_config(model_type: str) -> dict[str, Any]:
    """transformers' default configuration for a model_type."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"report: got {model_type!r}, expected the path of a config.json or a model_type of transformers.")
    return AutoConfig.for_model(model_type).to_dict()


class Reference:
    """The rotary embedding of a model as transformers builds it from the same config.json."""

    name, mode = "transformers", "eager"

    def __init__(self, config: Mapping[str, Any], spec: RopeSpec, label: str | None = None):
        from transformers import AutoConfig
        from transformers.utils import logging

        logging.set_verbosity_error()  # what a config lacks is said by rope_spec
        values = copy.deepcopy(dict(config))  # transformers writes into it
        whole = AutoConfig.for_model(values.pop("model_type"), **values)
        self.spec, self.is_vision = spec, label == "vision"
        self.config = getattr(whole, "vision_config", whole) if label == "vision" else whole.get_text_config()
        module = importlib.import_module(type(self.config).__module__.replace("configuration_", "modeling_"))
        self.rotary = _rotary_class(module, type(self.config))(self.config)
        has_labels = "layer_type" in inspect.signature(self.rotary.forward).parameters and label in _labels(self.config)
        self.layer = {"layer_type": label} if has_labels else {}
        self.apply = _apply_function(module, spec, label)

    def inv_freq(self, positions: np.ndarray) -> np.ndarray:
        """float32 `(P,)`, in the state that a call with these positions leaves behind."""
        self.cos_sin(positions, DTYPES["float32"])
        prefix = f"{self.layer['layer_type']}_" if self.layer else ""
        ladder = array(getattr(self.rotary, f"{prefix}inv_freq"))
        if type(self.rotary).__name__.startswith("Ernie4_5_VL"):  # it keeps the ladder permuted
            ladder = -np.sort(-ladder)
        return ladder if len(ladder) == len(self.spec.pairs) else ladder[list(self.spec.pairs.rung)]

    def cos_sin(self, positions: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin in `dtype`, one column for each pair: `(B, S, P)`."""
        cos, sin = (self._per_pair(table) for table in self._table(positions, dtype))
        return cos.reshape(*positions.shape[:2], -1), sin.reshape(*positions.shape[:2], -1)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x, `(B, S, N, H)`, through transformers' class and function in the dtype of x."""
        table = self._table(positions, x.dtype)
        y, rotated = tensor(x), slice(self.spec.start, self.spec.start + self.spec.rotary_dim)
        for row in y[..., rotated]:  # one by one, as vision towers know no batch
            row.copy_(self._apply(row, table))
        return array(y)

    def _apply(self, row: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """One `(S, N, H)`, as the function of the model wants it."""
        if self.is_vision:
            return self.apply(row, row, *table)[0]
        x = row.transpose(0, 1)[None]
        takes_both = "k" in inspect.signature(self.apply).parameters
        return (self.apply(x, x, *table)[0] if takes_both else self.apply(x, *table))[0].transpose(0, 1)

    def _table(self, positions: np.ndarray, dtype: np.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Their cos and sin; positions are `(A, B, S)` for text with A axes, `(S, A)` for vision."""
        if self.is_vision:
            positions = positions[0]
        elif self.spec.pairs.axes > 1:
            positions = np.ascontiguousarray(np.moveaxis(positions, -1, 0))
        return self.rotary(tensor(np.zeros(1, dtype)), tensor(positions), **self.layer)

    def _per_pair(self, table: torch.Tensor) -> np.ndarray:
        pairs = len(self.spec.pairs)
        if table.shape[-1] == pairs:
            return array(table)
        alternating = torch.equal(table[..., ::2], table[..., 1::2])
        return array(table[..., ::2] if alternating else table[..., :pairs])


def _labels(config: Any) -> set[str]:
    """The labels for which a configuration has rope parameters of their own."""
    return {key for key, value in (getattr(config, "rope_parameters", None) or {}).items() if isinstance(value, dict)}


def _rotary_class(module: Any, config_class: type) -> type:
    """The rotary class of a modeling module whose constructor takes this configuration, or the only one there is."""
    classes = inspect.getmembers(module, inspect.isclass)
    rotary = [c for name, c in classes if name.endswith("RotaryEmbedding") and c.__module__ == module.__name__]
    taking = [c for c in rotary if _config_name(c) in (config_class.__name__, config_class.__name__.replace("Text", ""))]
    vision = [c for c in rotary if ("Vision" in c.__name__) == ("Vision" in config_class.__name__)]
    if len(taking) == 1 or len(vision) == 1:
        return (taking if len(taking) == 1 else vision)[0]
    raise LookupError(f"transformers: found no rotary class for {config_class.__name__} in {module.__name__}.")


def _config_name(rotary: type) -> str:
    annotation = inspect.signature(rotary.__init__).parameters["config"].annotation
    return getattr(annotation, "__name__", str(annotation)).split(".")[-1]


def _apply_function(module: Any, spec: RopeSpec, label: str | None) -> Any:
    """The function of a modeling module that rotates q and k in the layout of the spec."""
    suffix = "_vision" if label == "vision" else "_interleave" if spec.write not in (None, spec.read) else ""
    for name in (f"apply_rotary_pos_emb{suffix}", "apply_rotary_pos_emb"):
        if hasattr(module, name):
            return getattr(module, name)
    raise LookupError(f"transformers: found no apply_rotary_pos_emb in {module.__name__}.")
