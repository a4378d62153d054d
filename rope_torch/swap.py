"""Swap the rotary modules of a loaded transformers model, to see whether they are at fault."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn

from rope_spec import Arithmetic, RopeSpec, spec_from_config, specs_from_config

from .full_tables import AxisOrder, Columns, FullTables, TableForm
from .functional import EXACT

ENDINGS = ("RotaryEmbedding", "RotaryPositionalEmbedding")  # of the class names of rotary modules
TOKENS = 8  # positions in a trial call: enough to tell the form of a table


def swap_rotary(model: nn.Module, arithmetic: Arithmetic = EXACT) -> Callable[[], None]:
    """Put `FullTables` in the place of each rotary module of a transformers model.

    The rotary modules have to return cos and sin. They may take one coordinate or several (M-RoPE,
    vision towers), and may serve all layers or one kind of layer. Refused are tables of complex
    numbers (DeepSeek-V2, Llama-4), tables without positions (the Conformers), models without such a
    module (RoFormer), and configurations that `specs_from_config` refuses.

    Args:
        model: a loaded model of transformers.
        arithmetic: exact angles, or float32 ones, which give the bits of transformers' own cos and
            sin wherever inv_freq is equal.

    Returns:
        A function that puts the model's own modules back.

    Raises:
        ValueError: the model has no rotary module, or one that is refused. Nothing is swapped then.
    """
    modules = {name: module for name, module in model.named_modules() if _is_rotary(module)}
    if not modules:
        raise ValueError(
            f"swap_rotary: got {type(model).__name__}, expected a model with modules named "
            "...RotaryEmbedding."
        )
    tables = {
        name: _tables_for(name, module, _config_of(model, name), arithmetic)
        for name, module in modules.items()
    }
    _set_modules(model, tables)
    return lambda: _set_modules(model, modules)


def _is_rotary(module: nn.Module) -> bool:
    return type(module).__name__.endswith(ENDINGS)


def _set_modules(model: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    for name, module in modules.items():
        model.set_submodule(name, module)


def _config_of(model: nn.Module, name: str) -> Any:
    """The configuration of a module, or of the innermost parent that has one."""
    path = name.split(".")
    outwards = (model.get_submodule(".".join(path[:end])) for end in range(len(path), -1, -1))
    return next((module.config for module in outwards if hasattr(module, "config")), None)


def _tables_for(name: str, module: nn.Module, config: Any, arithmetic: Arithmetic) -> FullTables:
    """`FullTables` in the form of a module of the model, which trial calls find out.

    Its numbers are not compared: they may be the fault that somebody is looking for.
    """
    try:
        layer_types = _layer_types(module)
        specs = _specs(config, layer_types)
        kwargs = {"layer_type": layer_types[0]} if layer_types else {}
        fresh = _built_anew(module, config)
        return FullTables(specs, arithmetic, _form(fresh, next(iter(specs.values())), kwargs))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"swap_rotary: got {name}, a {type(module).__name__}: {error}. Expected one that takes "
            "(x, position_ids) and returns cos and sin. Compare what it gives with "
            "rope_torch.cos_sin by itself."
        ) from error


def _built_anew(module: nn.Module, config: Any) -> nn.Module:
    """A module of the same class with its first numbers: those in the model may hide its form.

    The module itself, where its class takes something other than a configuration.
    """
    try:
        with torch.device("cpu"):
            return type(module)(config)
    except (AttributeError, LookupError, TypeError, ValueError):
        return module


def _layer_types(module: nn.Module) -> list[str]:
    """The kinds of layer for which a rotary module has frequencies; none where all share them."""
    buffers = [name for name, _ in module.named_buffers() if name.endswith("_inv_freq")]
    current = [name for name in buffers if not name.endswith("original_inv_freq")]
    return [name.removesuffix("_inv_freq") for name in current]


def _specs(config: Any, layer_types: list[str]) -> dict[str, RopeSpec]:
    """A spec for each kind of layer, or the only spec of the configuration."""
    specs = {label: spec for label, spec in specs_from_config(config).items() if spec is not None}
    if layer_types and len(specs) > 1:
        return {name: specs[name] for name in layer_types}
    first = next(iter(specs), "text")
    return {first: specs[first] if first in ("vision", "audio") else spec_from_config(config)}


def _form(module: nn.Module, spec: RopeSpec, kwargs: dict[str, str]) -> TableForm:
    """The form in which a rotary module returns the tables of a spec."""
    error: Exception = ValueError("its cos and sin have no form that is known")
    for positions, order, tokens in _trials(spec.pairs.axes):
        try:
            wide = _called(module, positions, torch.float32, kwargs)
            narrow = _called(module, positions, torch.bfloat16, kwargs)
        except (IndexError, RuntimeError) as raised:  # the module expects the axes elsewhere
            error = raised
            continue
        is_sine, is_float32 = not wide[0][..., 0, :].any(), narrow[0].dtype == torch.float32
        for columns in get_args(Columns):
            form = TableForm(columns, order, is_sine, is_float32)
            if all(table.shape[:-1] == tokens and form.fits(table, spec) for table in wide):
                return form
    raise error


def _trials(axes: int) -> Iterator[tuple[Tensor, AxisOrder, tuple[int, ...]]]:
    """Positions in each order of axes that a module may take, and the shape of the tokens."""
    positions = torch.arange(TOKENS)
    if axes == 1:
        yield positions[None], "axes_first", (1, TOKENS)
        return
    yield positions.expand(axes, 1, TOKENS), "axes_first", (1, TOKENS)
    yield positions[:, None].expand(TOKENS, axes), "axes_last", (TOKENS,)
    yield positions[None, :, None].expand(1, TOKENS, axes), "axes_last", (1, TOKENS)


def _called(
    module: nn.Module, positions: Tensor, dtype: torch.dtype, kwargs: dict[str, str]
) -> tuple[Tensor, Tensor]:
    device = next(module.buffers(), positions).device
    tables = module(torch.zeros(1, dtype=dtype, device=device), positions.to(device), **kwargs)
    if isinstance(tables, Tensor):
        raise ValueError(f"its table is one tensor of {tables.dtype}")
    return tables
