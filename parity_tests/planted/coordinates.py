"""Models whose positions have several coordinates."""

from .model import Model, config, whole
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


def vision(head_dim: int, context: int) -> Model:
    """Vision towers of Qwen: a ladder for rows, and the same for columns after it."""
    pairs = head_dim // 4
    index, axis = (*range(pairs), *range(pairs)), sections(pairs, pairs)
    rope = Rope(head_dim, 2 * pairs, 10000.0, 2 * pairs, index=index, axis=axis)
    given = {"model_type": "qwen2_5_vl_vision", "hidden_size": 16 * head_dim, "num_heads": 16}
    return Model(given, rope, context, "vision")


def pixtral(theta: float, context: int) -> Model:
    """arXiv:2410.07073: one ladder, of which rows have the even and columns the odd frequencies."""
    index, axis = (*range(0, 32, 2), *range(1, 32, 2)), sections(16, 16)
    given = {"model_type": "pixtral", "head_dim": 64, "rope_theta": theta}
    return Model(given, whole(64, theta, index=index, axis=axis), context, "vision")
