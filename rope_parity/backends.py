"""The two branches behind one NumPy interface, so that the referee treats them alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
import torch

import rope_jax
import rope_torch
from rope_spec import Arithmetic, RopeSpec

from .measure import DTYPES

Table = tuple[np.ndarray, np.ndarray]


@runtime_checkable
class Backend(Protocol):
    """cos, sin and rotation on NumPy arrays; x is `(B, S, N, H)`."""

    name: str
    mode: str

    def cos_sin(
        self, spec: RopeSpec, positions: np.ndarray, seq_len: int | None, arithmetic: Arithmetic
    ) -> Table: ...

    def rotate(
        self, x: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray: ...

    def gradient(
        self, x: np.ndarray, ct: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray: ...


class Jax:
    """`rope_jax`, each operation by itself (eager) or the whole function compiled (jit)."""

    name = "rope_jax"

    def __init__(self, mode: str, device: str = "cpu") -> None:
        self.mode, self.device = mode, jax.devices(device)[0]

    def cos_sin(
        self, spec: RopeSpec, positions: np.ndarray, seq_len: int | None, arithmetic: Arithmetic
    ) -> Table:
        return self._run(
            lambda p: rope_jax.cos_sin(spec, p, seq_len=seq_len, arithmetic=arithmetic),
            positions.astype(np.int32),
        )

    def rotate(
        self, x: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray:
        return self._run(
            lambda x, c, s: rope_jax.rotate(spec, x, c, s, arithmetic=arithmetic), x, *table
        )

    def gradient(
        self, x: np.ndarray, ct: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray:
        def pullback(x: jax.Array, ct: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
            rotate = lambda x: rope_jax.rotate(spec, x, cos, sin, arithmetic=arithmetic)
            return jax.vjp(rotate, x)[1](ct)[0]

        return self._run(pullback, x, ct, *table)

    def _run(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        on_device = jax.device_put(arrays, self.device)
        if self.mode == "jit":
            return jax.tree.map(np.asarray, jax.jit(function)(*on_device))
        with jax.disable_jit():
            return jax.tree.map(np.asarray, function(*on_device))


class Torch:
    """`rope_torch`, eager."""

    name, mode = "rope_torch", "eager"

    def __init__(self, device: str = "cpu") -> None:
        self.device = "cuda" if device == "gpu" else device

    def cos_sin(
        self, spec: RopeSpec, positions: np.ndarray, seq_len: int | None, arithmetic: Arithmetic
    ) -> Table:
        table = rope_torch.cos_sin(
            spec, self.tensor(positions), seq_len=seq_len, arithmetic=arithmetic
        )
        return array(table[0]), array(table[1])

    def rotate(
        self, x: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray:
        return array(self._rotate(self.tensor(x), table, spec, arithmetic))

    def gradient(
        self, x: np.ndarray, ct: np.ndarray, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> np.ndarray:
        leaf = self.tensor(x).requires_grad_()
        y = self._rotate(leaf, table, spec, arithmetic)
        return array(*torch.autograd.grad(y, leaf, self.tensor(ct)))

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        return tensor(values).to(self.device)

    def _rotate(
        self, x: torch.Tensor, table: Table, spec: RopeSpec, arithmetic: Arithmetic
    ) -> torch.Tensor:
        cos, sin = map(self.tensor, table)
        return rope_torch.rotate(spec, x, cos, sin, heads_axis=-2, arithmetic=arithmetic)


def tensor(values: np.ndarray) -> torch.Tensor:
    """A tensor with the bits of a NumPy array, bfloat16 included."""
    if values.dtype == DTYPES["bfloat16"]:
        return torch.from_numpy(values.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(values))


def array(values: torch.Tensor) -> np.ndarray:
    """A NumPy array with the bits of a tensor, bfloat16 included."""
    values = values.detach().cpu().contiguous()
    return (
        values.view(torch.int16).numpy().view(DTYPES["bfloat16"])
        if values.dtype == torch.bfloat16
        else values.numpy()
    )


def devices() -> list[str]:
    """The kinds of device that both frameworks see."""
    has_gpu = torch.cuda.is_available() and any(
        device.platform == "gpu" for device in jax.devices()
    )
    return ["cpu", "gpu"] if has_gpu else ["cpu"]
