"""cos and sin in the forms in which the rotary modules of transformers return them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rope_spec import Arithmetic, RopeSpec

from .functional import EXACT, cos_sin

Columns = Literal["half", "interleaved", "half_per_axis", "single"]
AxisOrder = Literal["axes_first", "axes_last"]


@dataclass(frozen=True)
class TableForm:
    """How the rotary module of a model lays out its tables, which no configuration says.

    Attributes:
        columns: where the two columns of a pair are, as in `RopeSpec.read`; `single`: one column
            for each pair.
        axis_order: whether the coordinates of `position_ids` come first, `(A, B, S)`, as in M-RoPE,
            or last, `(..., S, A)`, as in vision towers.
        sine_first: whether the module returns sin and then cos (GPT-J).
        keeps_float32: whether it leaves them in float32, instead of the dtype of x.
    """

    columns: Columns = "half"
    axis_order: AxisOrder = "axes_first"
    sine_first: bool = False
    keeps_float32: bool = False

    def widen(self, per_pair: Float[Tensor, "*rows P"], axes: int) -> Float[Tensor, "*rows C"]:
        """`(..., P)` to the columns of the table."""
        if self.columns == "single":
            return per_pair
        halves = per_pair.unflatten(-1, (self._blocks(per_pair.shape[-1], axes), -1))
        return torch.stack([halves, halves], dim=-2).flatten(-3)

    def fits(self, table: Tensor, spec: RopeSpec) -> bool:
        """Whether a table has the width of this form, with both columns of each pair equal."""
        pairs, axes = len(spec.pairs), spec.pairs.axes
        if self.columns == "single":
            return table.shape[-1] == pairs
        if table.shape[-1] != 2 * pairs or pairs % self._blocks(pairs, axes):
            return False
        halves = table.unflatten(-1, (self._blocks(pairs, axes), 2, -1))
        return torch.equal(halves[..., 0, :], halves[..., 1, :])

    def _blocks(self, pairs: int, axes: int) -> int:
        return {"half": 1, "interleaved": pairs, "half_per_axis": axes}[self.columns]


class FullTables(nn.Module):
    """cos and sin as the rotary modules of transformers return them.

    The module has no buffers, so that `.to(torch.bfloat16)` and a load through the meta device
    change nothing.

    Args:
        specs: a spec for each kind of layer; a single one serves all layers.
        arithmetic: how the angles are computed; the model itself rotates.
        form: how the tables are laid out.
    """

    def __init__(
        self,
        specs: Mapping[str, RopeSpec],
        arithmetic: Arithmetic = EXACT,
        form: TableForm = TableForm(),
    ) -> None:
        super().__init__()
        self.specs, self.arithmetic, self.form = dict(specs), arithmetic, form

    def forward(
        self, x: Tensor, position_ids: Integer[Tensor, "..."], layer_type: str | None = None
    ) -> tuple[Float[Tensor, "*rows C"], Float[Tensor, "*rows C"]]:
        """Both tables, `(B, S, 2 P)`, or `(B, S, P)` with one column for each pair.

        `position_ids` are `(B, S)`; with A axes `(A, B, S)` or `(..., S, A)`, as the form has it.

        Raises:
            ValueError: there are several kinds of layer, and `layer_type` is none of them.
        """
        spec = self._spec(layer_type)
        seq_len = position_ids.max() + 1 if spec.depends_on_length else None
        positions = self._axes_last(position_ids, spec.pairs.axes)
        tables = cos_sin(spec, positions, seq_len=seq_len, arithmetic=self.arithmetic)
        cos, sin = (self._laid_out(table, x, spec) for table in tables)
        return (sin, cos) if self.form.sine_first else (cos, sin)

    def _spec(self, layer_type: str | None) -> RopeSpec:
        if len(self.specs) == 1:
            return next(iter(self.specs.values()))
        if layer_type not in self.specs:
            raise ValueError(
                f"FullTables: got layer_type={layer_type!r}, expected one of "
                f"{', '.join(map(repr, self.specs))}. Pass layer_type=."
            )
        return self.specs[layer_type]

    def _axes_last(self, position_ids: Tensor, axes: int) -> Tensor:
        if axes == 1 or self.form.axis_order == "axes_last":
            return position_ids
        return position_ids.expand(axes, -1, -1).movedim(0, -1)  # (B, S): the same on each axis

    def _laid_out(self, table: Tensor, x: Tensor, spec: RopeSpec) -> Tensor:
        wide = self.form.widen(table, spec.pairs.axes)
        return wide if self.form.keeps_float32 else wide.to(x.dtype)
