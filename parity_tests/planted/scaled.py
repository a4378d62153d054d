"""Models whose frequencies are scaled for long contexts."""

from functools import partial
from typing import Any

from . import rules
from .model import Model, config, part, whole
from .rope import longrope_factor, yarn_factor


def linear(head_dim: int, theta: float, factor: float, context: int) -> Model:
    scaling = {"type": "linear", "factor": factor}
    given = config("llama", head_dim, theta, context, rope_scaling=scaling)
    return Model(given, whole(head_dim, theta, rule=partial(rules.linear, factor=factor)), context)


def dynamic(head_dim: int, theta: float, factor: float, original: int, context: int) -> Model:
    """Its config has the original context; calls are longer."""
    scaling = {"type": "dynamic", "factor": factor}
    given = config("llama", head_dim, theta, original, rope_scaling=scaling)
    rule = partial(rules.dynamic_ntk, factor=factor, original=original)
    return Model(given, whole(head_dim, theta, rule=rule, follows_length=True), context)


def llama3(
    head_dim: int, theta: float, factor: float, low: float, high: float, original: int, context: int
) -> Model:
    scaling = {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }
    given = config("llama", head_dim, theta, context, rope_scaling=scaling)
    rule = partial(rules.llama3, factor=factor, low=low, high=high, original=original)
    return Model(given, whole(head_dim, theta, rule=rule), context)


def yarn(
    head_dim: int, theta: float, factor: float, original: int, context: int, truncate: bool = True
) -> Model:
    """Qwen2.5 where the ramp is truncated, gpt-oss where it is not."""
    scaling = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original}
    if not truncate:
        scaling |= {"beta_fast": 32.0, "beta_slow": 1.0, "truncate": False}
    kind, more = ("qwen2", {}) if truncate else ("gpt_oss", {"head_dim": head_dim})
    given = config(kind, head_dim, theta, context, rope_scaling=scaling, **more)
    rule = partial(rules.yarn, factor=factor, original=original, truncate=truncate)
    return Model(given, whole(head_dim, theta, rule=rule, factor=yarn_factor(factor)), context)


def deepseek(factor: float, mscale: float, all_dim: float, context: int) -> Model:
    """Two mscales, whose quotient is the factor of cos and sin; interleaved in, halves out."""
    scaling = {
        "type": "yarn",
        "factor": factor,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": mscale,
        "mscale_all_dim": all_dim,
        "original_max_position_embeddings": 4096,
    }
    given = config("deepseek_v3", 128, 10000.0, context, qk_rope_head_dim=64, rope_scaling=scaling)
    scale = yarn_factor(factor, mscale) / yarn_factor(factor, all_dim)
    rule = partial(rules.yarn, factor=factor, original=4096)
    rope = whole(64, 10000.0, rule=rule, factor=scale, read="interleaved")
    return Model(given, rope, context)


def longrope(head_dim: int, share: float, steepest: float, context: int) -> Model:
    """Phi-3, and with a share of the head Phi-4; the factors grow with the index of the pair."""
    width = int(head_dim * share)
    ramp = [k / (width // 2 - 1) for k in range(width // 2)]
    short = tuple(1 + x for x in ramp)
    long = tuple(1 + steepest * x * x for x in ramp)
    scaling = {"type": "longrope", "short_factor": list(short), "long_factor": list(long)}
    more: dict[str, Any] = {"original_max_position_embeddings": 4096, "rope_scaling": scaling}
    if share != 1:
        more["partial_rotary_factor"] = share
    rule = partial(rules.longrope, short=short, long=long, original=4096)
    factor = longrope_factor(context / 4096, 4096)
    rope = part(head_dim, width, 10000.0, rule=rule, factor=factor, follows_length=True)
    return Model(config("phi3", head_dim, 10000.0, context, **more), rope, context)


def gemma3(label: str, theta: float, local: float, factor: float, context: int) -> Model:
    """Linear scaling in layers with full attention; sliding layers have a theta of their own."""
    given = {
        "model_type": "gemma3_text",
        "head_dim": 256,
        "num_hidden_layers": 6,
        "rope_theta": theta,
        "rope_local_base_freq": local,
        "rope_scaling": {"rope_type": "linear", "factor": factor},
        "max_position_embeddings": context,
    }
    full = whole(256, theta, rule=partial(rules.linear, factor=factor))
    return Model(given, full if label == "full_attention" else whole(256, local), context, label)


def gemma4(head_dim: int, context: int) -> Model:
    """A quarter of the pairs of the head turn, the others stand still."""
    given = {
        "model_type": "gemma4_text",
        "head_dim": 256,
        "global_head_dim": head_dim,
        "num_hidden_layers": 6,
        "max_position_embeddings": context,
    }
    rule = partial(rules.proportional, turning=head_dim // 8)
    return Model(given, whole(head_dim, 1000000.0, rule=rule), context, "full_attention")
