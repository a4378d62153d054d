"""Our cos and sin inside a loaded transformers model, and back: to see whether they are the cause of something."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import torch
from torch import Tensor, nn

from rope_spec import Arithmetic, RopeSpec, spec_from_config, specs_from_config

from .full_tables import Columns, FullTables, Pair, Positions, TableForm
from .functional import EXACT

ENDINGS = ("RotaryEmbedding", "RotaryPositionalEmbedding")  # of the names of their classes
TOKENS = 8  # are enough to see the form of a table


def swap_rotary(model: nn.Module, arithmetic: Arithmetic = EXACT) -> Callable[[], None]:
    """Put `FullTables` in the place of each rotary module of a transformers model.

    Taken are models whose rotary modules return cos and sin: of one coordinate or of several
    (M-RoPE, vision towers), for all layers or by kind of layer. Not taken are tables of complex
    numbers (DeepSeek-V2, Llama-4), tables without positions (the Conformers), models without such a
    module (RoFormer), and what `specs_from_config` refuses.

    Args:
        model: a loaded model of transformers.
        arithmetic: exact angles, or float32 ones, which give transformers' own cos and sin wherever
            inv_freq is equal.

    Returns:
        A function that puts the model's own modules back.

    Raises:
        ValueError: the model has no rotary module, or one that is not taken. Nothing is swapped then.
    """
    found = [
        (name, part)
        for name, part in model.named_modules()
        if type(part).__name__.endswith(ENDINGS)
    ]
    if not found:
        raise ValueError(
            f"swap_rotary: got {type(model).__name__}, expected a model with modules named ...RotaryEmbedding."
        )
    ours = [
        (name, _tables_for(name, module, _config_of(model, name), arithmetic))
        for name, module in found
    ]
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
    """The kinds of layer for which a rotary module keeps frequencies; none where all share them."""
    ladders = [name for name, _ in module.named_buffers() if name.endswith("_inv_freq")]
    own = [name for name in ladders if not name.endswith("original_inv_freq")]
    return [name.removesuffix("_inv_freq") for name in own]


def _specs(config: Any, kinds: list[str]) -> dict[str, RopeSpec]:
    """A spec for each of the kinds of layer, or the one that the configuration is about."""
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
            wide = _called(module, positions, torch.float32, layer)
            narrow = _called(module, positions, torch.bfloat16, layer)
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
    """Positions in each order of axes that a rotary module may want, and the shape of the tokens."""
    positions = torch.arange(TOKENS)
    if axes == 1:
        yield positions[None], "axes_first", (1, TOKENS)
        return
    yield positions.expand(axes, 1, TOKENS), "axes_first", (1, TOKENS)
    yield positions[:, None].expand(TOKENS, axes), "axes_last", (TOKENS,)
    yield positions[None, :, None].expand(1, TOKENS, axes), "axes_last", (1, TOKENS)


def _called(module: Any, positions: Tensor, dtype: torch.dtype, layer: dict[str, str]) -> Pair:
    device = next(module.buffers(), positions).device
    tables = module(torch.zeros(1, dtype=dtype, device=device), positions.to(device), **layer)
    if isinstance(tables, Tensor):
        raise ValueError(f"its table is one tensor of {tables.dtype}")
    return tables
