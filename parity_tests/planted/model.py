"""A config as it is published, and what it means by transformers' own code, read anew."""

from dataclasses import dataclass
from typing import Any

from .rope import Rope

INTERLEAVED: dict[str, Any] = {"read": "interleaved", "write": "interleaved"}


@dataclass(frozen=True)
class Model:
    """A config, the rotary embedding of one label in it, and the context."""

    config: dict[str, Any]
    rope: Rope
    context: int
    label: str | None = None


def whole(head_dim: int, theta: float, **changes: Any) -> Rope:
    """All channels of a head rotate, with one ladder over them."""
    return Rope(head_dim, head_dim // 2, theta, head_dim, **changes)


def part(head_dim: int, width: int, theta: float, **changes: Any) -> Rope:
    """The first `width` channels of a head rotate, with a ladder of their own; odd, one more."""
    return Rope(head_dim, (width + 1) // 2, theta, width, **changes)


def config(model_type: str, head_dim: int, theta: float, context: int, /, **more: Any) -> dict:
    """The keys that most models have, for 32 heads."""
    return {
        "model_type": model_type,
        "hidden_size": 32 * head_dim,
        "num_attention_heads": 32,
        "rope_theta": theta,
        "max_position_embeddings": context,
        **more,
    }


def llama_like(model_type: str, head_dim: int, theta: float, context: int) -> Model:
    given = config(model_type, head_dim, theta, context)
    return Model(given, whole(head_dim, theta), context)


def nanochat(head_dim: int, context: int) -> Model:
    """Every angle is negative."""
    given = config("nanochat", head_dim, 10000.0, context)
    return Model(given, whole(head_dim, 10000.0, sign=-1), context)


def cohere(theta: float, context: int) -> Model:
    given = config("cohere", 128, theta, context)
    return Model(given, whole(128, theta, **INTERLEAVED), context)


def gptj(head_dim: int, width: int, context: int) -> Model:
    sizes = {"n_embd": 16 * head_dim, "n_head": 16, "rotary_dim": width, "n_positions": context}
    return Model(
        {"model_type": "gptj", **sizes}, part(head_dim, width, 10000.0, **INTERLEAVED), context
    )


def glm4(theta: float, context: int) -> Model:
    given = config("glm4", 128, theta, context, head_dim=128, partial_rotary_factor=0.5)
    return Model(given, part(128, 64, theta, **INTERLEAVED), context)


def phi(head_dim: int, share: float, theta: float, context: int) -> Model:
    given = config("phi", head_dim, theta, context, partial_rotary_factor=share)
    return Model(given, part(head_dim, int(head_dim * share), theta), context)


def gpt_neox(head_dim: int, share: float, context: int) -> Model:
    given = {
        "model_type": "gpt_neox",
        "hidden_size": 8 * head_dim,
        "num_attention_heads": 8,
        "max_position_embeddings": context,
        "rotary_pct": share,
        "rotary_emb_base": 10000,
    }
    return Model(given, part(head_dim, int(head_dim * share), 10000.0), context)
