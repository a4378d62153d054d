"""Our cos and sin inside a loaded transformers model, and back: to see whether they are the cause of something."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rope_spec import Arithmetic, RopeSpec, specs_from_config

from .functional import EXACT, cos_sin


class FullTables(nn.Module):
    """cos and sin as the rotary modules of transformers return them: a column for each channel, in x.dtype.

    It has no buffers, so that `.to(torch.bfloat16)` and a load through the meta device leave it whole.

    Args:
        specs: a spec for each kind of layer; one alone for all of them.
        arithmetic: how the angles are computed; what is done with cos and sin is up to the model.
        interleaved: whether both columns of a pair are neighbours, instead of half a head apart.
    """

    def __init__(self, specs: dict[str, RopeSpec | None], arithmetic: Arithmetic = EXACT, interleaved: bool = False):
        super().__init__()
        self.specs, self.arithmetic, self.interleaved = specs, arithmetic, interleaved

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor]:
        """cos and sin `(B, S, 2 P)` for `position_ids` `(B, S)`."""
        spec = next(iter(self.specs.values())) if len(self.specs) == 1 else self.specs[str(layer_type)]
        assert spec is not None
        seq_len = position_ids.max() + 1 if spec.depends_on_length else None
        cos, sin = cos_sin(spec, position_ids, seq_len=seq_len, arithmetic=self.arithmetic)
        return self._full(cos).to(x.dtype), self._full(sin).to(x.dtype)

    def has_form(self, table: Tensor, ours: Tensor) -> bool:
        """Whether a table has the shape of ours, and equal columns where ours has."""
        half = table[..., ::2] if self.interleaved else table[..., : table.shape[-1] // 2]
        return table.shape == ours.shape and torch.equal(self._full(half), table)

    def _full(self, half: Tensor) -> Tensor:
        return half.repeat_interleave(2, dim=-1) if self.interleaved else torch.cat([half, half], dim=-1)


def swap_rotary(model: nn.Module, arithmetic: Arithmetic = EXACT) -> Callable[[], None]:
    """Put `FullTables` in the place of each rotary module of a transformers model.

    Args:
        model: a loaded model whose rotary modules keep their configuration, as transformers' do.
        arithmetic: exact angles, or float32 ones, which give transformers' own cos and sin wherever inv_freq is equal.

    Returns:
        A function that puts the model's own modules back.

    Raises:
        ValueError: the model has no rotary module, or one whose tables have another form.
    """
    found = [(name, module) for name, module in model.named_modules() if type(module).__name__.endswith("RotaryEmbedding")]
    if not found:
        raise ValueError(f"swap_rotary: got {type(model).__name__}, expected a model with modules named ...RotaryEmbedding.")
    ours = [(name, _tables_for(name, module, arithmetic)) for name, module in found]
    for name, module in ours:
        model.set_submodule(name, module)

    def undo() -> None:
        for name, module in found:
            model.set_submodule(name, module)

    return undo


def _tables_for(name: str, module: Any, arithmetic: Arithmetic) -> FullTables:
    """Ours for one of the model's: in the order of columns that it has, which no configuration says, so that is tried out.

    Only the order: where its numbers are wrong, ours in their place shall show it.
    """
    try:
        specs = specs_from_config(module.config.to_dict())
        positions = torch.arange(64, device=next(module.buffers(), torch.empty(0)).device)[None]
        options = {} if len(specs) == 1 else {"layer_type": next(iter(specs))}
        x = torch.zeros(1, 64, 1, device=positions.device)
        theirs = module(x, positions, **options)
        for interleaved in (False, True):
            ours = FullTables(specs, arithmetic, interleaved)
            if all(map(ours.has_form, theirs, ours(x, positions, **options))):
                return ours
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise _other_form(name, module, error) from error
    raise _other_form(name, module, "its cos and sin have not two equal columns for each pair")


def _other_form(name: str, module: nn.Module, what: object) -> ValueError:
    return ValueError(
        f"swap_rotary: got {name}, a {type(module).__name__}: {what}. Expected one that takes (x, position_ids) and returns "
        "full-width cos and sin. Compare what it gives with rope_torch.cos_sin by itself."
    )
