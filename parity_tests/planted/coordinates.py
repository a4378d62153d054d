"""Models whose positions have several coordinates."""

from typing import Any

from .model import INTERLEAVED, Model, config, whole
from .rope import Rope


def sections(*lengths: int) -> tuple[int, ...]:
    """The coordinates have the pairs one after the other."""
    return tuple(axis for axis, length in enumerate(lengths) for _ in range(length))


def strided(*lengths: int) -> tuple[int, ...]:
    """Time, height and width take turns; time has what is left."""
    turns = range(sum(lengths))
    return tuple(j % 3 if j < 3 * lengths[j % 3] else 0 for j in turns)


def mrope(theta: float, lengths: tuple[int, int, int], context: int) -> Model:
    """Qwen2-VL, arXiv:2409.12191."""
    head_dim = 2 * sum(lengths)
    scaling = {"type": "mrope", "mrope_section": list(lengths)}
    given = config("qwen2_vl", head_dim, theta, context, rope_scaling=scaling)
    return Model(given, whole(head_dim, theta, axis=sections(*lengths)), context)


def interleaved_mrope(theta: float, context: int) -> Model:
    """Qwen3-VL."""
    scaling = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [24, 20, 20]}
    given = config("qwen3_vl_text", 128, theta, context, head_dim=128, rope_scaling=scaling)
    return Model(given, whole(128, theta, axis=strided(24, 20, 20)), context)


def height_and_width_first(theta: float, context: int) -> Model:
    """Ernie 4.5 VL: height and width take turns on the fast pairs, time has the slow ones."""
    scaling = {"type": "default", "mrope_section": [22, 22, 20]}
    given = config("ernie4_5_vl_moe_text", 128, theta, context, rope_scaling=scaling)
    axis = (1, 2) * 22 + (0,) * 20
    return Model(given, whole(128, theta, axis=axis, **INTERLEAVED), context)


def tower(model_type: str, head_dim: int, context: int, rope: Rope) -> Model:
    given = {"model_type": model_type, "hidden_size": 16 * head_dim, "num_attention_heads": 16}
    return Model(given, rope, context, "vision")


def axial(head_dim: int, axes: int = 2, theta: float = 10000.0, **changes: Any) -> Rope:
    """A ladder for each coordinate, one after the other."""
    pairs = head_dim // (2 * axes)
    index, axis = (*range(pairs),) * axes, sections(*(pairs,) * axes)
    given = {"index": index, "axis": axis, **changes}
    return Rope(head_dim, axes * pairs, theta, 2 * pairs, **given)


def vision(head_dim: int, context: int) -> Model:
    """Vision towers of Qwen: rows, then columns."""
    return tower("qwen2_5_vl_vision", head_dim, context, axial(head_dim))


def llama4_vision(head_dim: int, context: int) -> Model:
    """Columns, then rows; interleaved channels."""
    pairs = head_dim // 4
    rope = axial(head_dim, axis=(1,) * pairs + (0,) * pairs, **INTERLEAVED)
    return tower("llama4_vision_model", head_dim, context, rope)


def kimi_vision(head_dim: int, context: int) -> Model:
    """Columns and rows take turns, with the same frequency."""
    pairs = head_dim // 4
    index = tuple(k for k in range(pairs) for _ in range(2))
    rope = axial(head_dim, index=index, axis=(1, 0) * pairs)
    return tower("kimi_k25_vision", head_dim, context, rope)


def gemma4_vision(context: int) -> Model:
    """Each coordinate has a half of the head, and in it halves."""
    rope = axial(64, theta=100.0, read="half_per_axis", write="half_per_axis")
    return Model({"model_type": "gemma4_vision", "head_dim": 64}, rope, context, "vision")


def video(head_dim: int, context: int) -> Model:
    """MiniMax: frame, row, column; the channels that are left do not turn."""
    return tower("minimax_m3_vl_vision", head_dim, context, axial(head_dim, axes=3))


def pixtral(theta: float, context: int) -> Model:
    """arXiv:2410.07073: one ladder, of which rows have the even and columns the odd frequencies."""
    index, axis = (*range(0, 32, 2), *range(1, 32, 2)), sections(16, 16)
    given = {"model_type": "pixtral", "head_dim": 64, "rope_theta": theta}
    return Model(given, whole(64, theta, index=index, axis=axis), context, "vision")
