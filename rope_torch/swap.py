"""Our cos and sin inside a loaded transformers model, and back: to see whether they are the cause of something."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from rope_spec import Arithmetic, RopeSpec, spec_from_config, specs_from_config

from .functional import EXACT, cos_sin

Columns = Literal["halves", "neighbours", "halves_per_axis", "one"]
Positions = Literal["axes_first", "axes_last"]
ENDINGS = ("RotaryEmbedding", "RotaryPositionalEmbedding")  # of the names of their classes
TOKENS = 8  # are enough to see the form of a table


@dataclass(frozen=True)
class TableForm:
    """How the rotary module of a model lays out its tables, which no configuration says.

    Attributes:
        columns: one for each pair, or two: half the table apart, neighbours, or halves for each axis.
        positions: coordinates first, `(A, B, S)`, as in M-RoPE, or last, `(..., S, A)`, as in vision.
        sine_first: it returns sin and cos, in that order (GPT-J).
        keeps_float32: it does not cast them to the dtype of x.
    """

    columns: Columns = "halves"
    positions: Positions = "axes_first"
    sine_first: bool = False
    keeps_float32: bool = False

    def widen(self, per_pair: Tensor, axes: int) -> Tensor:
        """`(..., P)` to the columns of the table."""
        if self.columns == "one":
            return per_pair
        halves = per_pair.unflatten(-1, (self._blocks(per_pair.shape[-1], axes), -1))
        return torch.stack([halves, halves], dim=-2).flatten(-3)

    def fits(self, table: Tensor, spec: RopeSpec) -> bool:
        """Whether a table has the width of this form, and equal columns where this has."""
        pairs, axes = len(spec.pairs), spec.pairs.axes
        if self.columns == "one":
            return table.shape[-1] == pairs
        if table.shape[-1] != 2 * pairs or pairs % self._blocks(pairs, axes):
            return False
        two = table.unflatten(-1, (self._blocks(pairs, axes), 2, -1))
        return torch.equal(two[..., 0, :], two[..., 1, :])

    def _blocks(self, pairs: int, axes: int) -> int:
        return {"halves": 1, "neighbours": pairs, "halves_per_axis": axes}[self.columns]


class FullTables(nn.Module):
    """cos and sin as the rotary modules of transformers return them.

    It has no buffers, so that `.to(torch.bfloat16)` and a load through the meta device leave it whole.

    Args:
        specs: a spec for each kind of layer; one alone for all of them.
        arithmetic: how the angles are computed; what is done with cos and sin is up to the model.
        form: how the tables are laid out.
    """

    def __init__(self, specs: Mapping[str, RopeSpec], arithmetic: Arithmetic = EXACT, form: TableForm = TableForm()):
        super().__init__()
        self.specs, self.arithmetic, self.form = dict(specs), arithmetic, form

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor]:
        """Both tables, `(B, S, 2 P)`, for `position_ids` `(B, S)`, or with A axes `(A, B, S)` or `(..., S, A)`."""
        spec = next(iter(self.specs.values())) if len(self.specs) == 1 else self.specs[str(layer_type)]
        seq_len = position_ids.max() + 1 if spec.depends_on_length else None
        positions = self._axes_last(position_ids, spec.pairs.axes)
        tables = cos_sin(spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        cos, sin = (self._laid_out(table, x, spec) for table in tables)
        return (sin, cos) if self.form.sine_first else (cos, sin)

    def _axes_last(self, position_ids: Tensor, axes: int) -> Tensor:
        if axes == 1 or self.form.positions == "axes_last":
            return position_ids
        return position_ids.expand(axes, -1, -1).movedim(0, -1)  # text alone: the same number on each axis

    def _laid_out(self, table: Tensor, x: Tensor, spec: RopeSpec) -> Tensor:
        wide = self.form.widen(table, spec.pairs.axes)
        return wide if self.form.keeps_float32 else wide.to(x.dtype)


def swap_rotary(model: nn.Module, arithmetic: Arithmetic = EXACT) -> Callable[[], None]:
    """Put `FullTables` in the place of each rotary module of a transformers model.

    Taken are models whose rotary modules return cos and sin: of one coordinate or of several (M-RoPE,
    vision towers), for all layers or by kind of layer. Not taken are tables of complex numbers
    (DeepSeek-V2, Llama-4), tables without positions (the Conformers), models that keep no such module
    (RoFormer), and what `specs_from_config` refuses.

    Args:
        model: a loaded model of transformers.
        arithmetic: exact angles, or float32 ones, which give transformers' own cos and sin wherever inv_freq is equal.

    Returns:
        A function that puts the model's own modules back.

    Raises:
        ValueError: the model has no rotary module, or one that is not taken; then nothing is swapped.
    """
    found = [(name, module) for name, module in model.named_modules() if type(module).__name__.endswith(ENDINGS)]
    if not found:
        raise ValueError(f"swap_rotary: got {type(model).__name__}, expected a model with modules named ...RotaryEmbedding.")
    ours = [(name, _tables_for(name, module, _config_of(model, name), arithmetic)) for name, module in found]
    for name, module in ours:
        model.set_submodule(name, module)

    def undo() -> None:
        for name, module in found:
            model.set_submodule(name, module)

    return undo


def _config_of(model: nn.Module, name: str) -> Any:
    """The configuration of a module, or of the nearest one around it that keeps one."""
    path = name.split(".")
    around = (model.get_submodule(".".join(path[:end])) for end in range(len(path), -1, -1))
    return next((module.config for module in around if hasattr(module, "config")), None)


def _tables_for(name: str, module: Any, config: Any, arithmetic: Arithmetic) -> FullTables:
    """Ours for one of the model's, in its form, which is tried out.

    Only the form: where its numbers are wrong, ours in their place shall show it.
    """
    try:
        kinds = _kinds(module)
        specs = _specs(config, kinds)
        layer = {"layer_type": kinds[0]} if kinds else {}
        return FullTables(specs, arithmetic, _form(module, next(iter(specs.values())), layer))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"swap_rotary: got {name}, a {type(module).__name__}: {error}. Expected one that takes (x, position_ids) and "
            "returns cos and sin. Compare what it gives with rope_torch.cos_sin by itself."
        ) from error


def _kinds(module: nn.Module) -> list[str]:
    """The kinds of layer for which a rotary module has frequencies of their own; none where all share one set."""
    ladders = [name for name, _ in module.named_buffers() if name.endswith("_inv_freq")]
    return [name.removesuffix("_inv_freq") for name in ladders if not name.endswith("original_inv_freq")]


def _specs(config: Any, kinds: list[str]) -> dict[str, RopeSpec]:
    """A spec for each of the kinds of layer, or the one of the part of the model that the configuration is about."""
    specs = {label: spec for label, spec in specs_from_config(config).items() if spec is not None}
    if kinds and len(specs) > 1:
        return {kind: specs[kind] for kind in kinds}
    first = next(iter(specs), "text")
    return {first: specs[first] if first in ("vision", "audio") else spec_from_config(config)}


def _form(module: Any, spec: RopeSpec, layer: dict[str, str]) -> TableForm:
    """The form in which a rotary module returns the tables of a spec."""
    error: Exception = ValueError("its cos and sin have no form that is known")
    for positions, order, tokens in _trials(spec.pairs.axes):
        try:
            wide, narrow = (_called(module, positions, dtype, layer) for dtype in (torch.float32, torch.bfloat16))
        except (IndexError, RuntimeError) as raised:  # it wants the axes elsewhere
            error = raised
            continue
        is_sine, is_float32 = not wide[0][..., 0, :].any(), narrow[0].dtype == torch.float32
        for columns in get_args(Columns):
            form = TableForm(columns, order, is_sine, is_float32)
            if all(table.shape[:-1] == tokens and form.fits(table, spec) for table in wide):
                return form
    raise error


def _trials(axes: int) -> Iterator[tuple[Tensor, Positions, tuple[int, ...]]]:
    """Positions from 0 on, in each order of axes that a rotary module may want, and the shape of the tokens."""
    positions = torch.arange(TOKENS)
    if axes == 1:
        yield positions[None], "axes_first", (1, TOKENS)
        return
    yield positions.expand(axes, 1, TOKENS), "axes_first", (1, TOKENS)
    yield positions[:, None].expand(TOKENS, axes), "axes_last", (TOKENS,)
    yield positions[None, :, None].expand(1, TOKENS, axes), "axes_last", (1, TOKENS)


def _called(module: Any, positions: Tensor, dtype: torch.dtype, layer: dict[str, str]) -> tuple[Tensor, Tensor]:
    device = next(module.buffers(), positions).device
    tables = module(torch.zeros(1, dtype=dtype, device=device), positions.to(device), **layer)
    if isinstance(tables, Tensor):
        raise ValueError(f"its table is one tensor of {tables.dtype}")
    return tables
