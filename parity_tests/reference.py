"""transformers' own class and function for a configuration, on NumPy arrays."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rope_spec import RopeSpec

from .backends import array, tensor


class Reference:
    """The rotary embedding of a model as transformers builds it from the same config.json."""

    name, mode = "transformers", "eager"

    def __init__(self, config: Mapping[str, Any], spec: RopeSpec):
        from transformers import AutoConfig

        values = dict(config)
        self.spec = spec
        self.config = AutoConfig.for_model(values.pop("model_type"), **values)
        module = importlib.import_module(type(self.config).__module__.replace("configuration_", "modeling_"))
        self.rotary = _rotary_class(module, type(self.config))(self.config)
        interleave = getattr(self.config, "rope_interleave", False)
        self.apply = getattr(module, "apply_rotary_pos_emb_interleave" if interleave else "apply_rotary_pos_emb")

    @property
    def inv_freq(self) -> np.ndarray:
        """float32 `(P,)`."""
        return array(self.rotary.inv_freq)

    def cos_sin(self, positions: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """cos and sin in `dtype`, one column for each pair: `(B, S, P)`."""
        cos, sin = self._table(positions, dtype)
        return self._per_pair(cos), self._per_pair(sin)

    def rotate(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """x, `(B, S, N, H)`, through transformers' class and function in the dtype of x."""
        table = self._table(positions, x.dtype)
        y, rotated = tensor(x), slice(self.spec.start, self.spec.start + self.spec.rotary_dim)
        part = y[..., rotated].transpose(1, 2)
        y[..., rotated] = self.apply(part, part, *table)[0].transpose(1, 2)
        return array(y)

    def _table(self, positions: np.ndarray, dtype: np.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        return self.rotary(tensor(np.zeros(1, dtype)), tensor(positions))

    def _per_pair(self, table: torch.Tensor) -> np.ndarray:
        pairs = len(self.spec.pairs)
        if table.shape[-1] == pairs:
            return array(table)
        alternating = torch.equal(table[..., ::2], table[..., 1::2])
        return array(table[..., ::2] if alternating else table[..., :pairs])


def _rotary_class(module: Any, config_class: type) -> type:
    """The rotary class of a modeling module whose constructor takes this configuration."""
    for name, member in inspect.getmembers(module, inspect.isclass):
        if name.endswith("RotaryEmbedding"):
            annotation = inspect.signature(member.__init__).parameters["config"].annotation
            if config_class.__name__ in str(annotation):
                return member
    raise LookupError(f"transformers: found no rotary class for {config_class.__name__} in {module.__name__}.")
