"""The bound of float32 frequencies: right ladders keep it, by thousands; what is off by 1e-5 breaks
it.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from rope_parity import bounds, oracle
from rope_parity.against_transformers import against_transformers
from rope_parity.cases import Case, cases_of
from rope_parity.referee import Referee
from rope_spec import (
    DynamicNTK,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    PerAxis,
    Proportional,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)

DRAWS = 100  # of each rule; 3000 of each were tried by hand, and used 0.73 to 0.90 of their bound


def between(rng, low, high):
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def default(rng, length):
    return None, length


def linear(rng, length):
    return Linear(between(rng, 0.5, 128)), length


def dynamic(rng, length):
    return DynamicNTK(between(rng, 1, 128), length), int(length * between(rng, 0.5, 100))


def yarn(rng, length):
    slow = between(rng, 0.25, 4)
    fast = slow * between(rng, 1, 64)
    factor, truncate = between(rng, 1, 128), bool(rng.integers(2))
    return Yarn(factor, length, beta_fast=fast, beta_slow=slow, truncate=truncate), length


def longrope(rng, length, pairs):
    short, long = (tuple(map(float, rng.uniform(1, most, pairs))) for most in (3, 100))
    return LongRope(short, long, length, between(rng, 1, 64)), length + int(rng.integers(2))


def llama3(rng, length):
    low = between(rng, 0.1, 10)
    high = low * between(rng, 1.001, 10)
    return Llama3(between(rng, 0.5, 128), low, high, length), length


def proportional(rng, length, pairs):
    return Proportional(int(rng.integers(1, pairs + 1)), between(rng, 0.5, 128)), length


RULES = (default, linear, dynamic, yarn, longrope, llama3, proportional)


def drawn(make, rng):
    """A spec with a rule, and a current length."""
    head_dim, theta = 2 * int(rng.integers(2, 129)), between(rng, 10, 1e8)
    length = int(rng.choice([4096, 8192, between(rng, 256, 2**20)]))
    if make in (longrope, proportional):
        make = partial(make, pairs=head_dim // 2)
    rule, seq_len = make(rng, length)
    spec = RopeSpec(
        head_dim=head_dim, theta=theta, pairs=Pairs.single(rotary_dim=head_dim), rule=rule
    )
    return spec, seq_len


def theirs(spec, kind, seq_len):
    """transformers' own function on the same parameters; a length that grows comes as a tensor, as
    in its forward.
    """
    rule = dict(vars(spec.rule)) if spec.rule else {}
    length = rule.pop("max_position_embeddings", None) or rule.get(
        "original_max_position_embeddings", 4096
    )
    if kind == "proportional":
        rule["partial_rotary_factor"] = min(
            (2 * rule.pop("rotated") + 0.5) / spec.head_dim, 1.0
        )  # rounded down there
    rule = {key: list(value) if isinstance(value, tuple) else value for key, value in rule.items()}
    config = LlamaConfig(
        hidden_size=4 * spec.head_dim,
        num_attention_heads=4,
        head_dim=spec.head_dim,
        max_position_embeddings=length,
        rope_parameters={"rope_type": kind, "rope_theta": spec.theta, **rule},
    )
    if kind == "default":
        return LlamaRotaryEmbedding.compute_default_rope_parameters(config)[0].numpy()
    grown = torch.tensor(seq_len) if kind == "dynamic" and seq_len > length else seq_len
    return ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=grown)[0].numpy()


def used(spec, ladder, seq_len):
    """The largest share of its bound that a ladder uses."""
    exact = np.array([float(value) for value in oracle.inverse_frequencies(spec, seq_len)])
    error = np.abs(ladder - exact) / np.where(exact == 0, 1, exact)
    return float((error / bounds.float32_ladder(spec, seq_len)).max())


@pytest.mark.parametrize("make", RULES)
def test_right_ladders_keep_their_bound_and_come_near_it(make, rng):
    """transformers' own functions in float32 against 50 digits."""
    draws = [drawn(make, rng) for _ in range(DRAWS)]
    shares = [used(spec, theirs(spec, make.__name__, seq_len), seq_len) for spec, seq_len in draws]
    assert 0.5 < max(shares) <= 1


def turns(rng):
    """transformers' DINOv3: the angles at a coordinate of 1."""
    theta, head_dim = between(rng, 10, 1e6), 4 * int(rng.integers(4, 33))
    config = DINOv3ViTConfig(hidden_size=head_dim, num_attention_heads=1, rope_theta=theta)
    rotary = DINOv3ViTRopePositionEmbedding(config)
    angles = 2 * math.pi * torch.ones(2, 1) * rotary.inv_freq
    pairs = Pairs.axial(rotary_dim=head_dim)
    spec = RopeSpec(head_dim=head_dim, theta=theta, pairs=pairs, real=True, unit="turn")
    return spec, angles.flatten().numpy()


def bases(rng):
    """The operations of Cosmos and Kandinsky in diffusers."""
    base = tuple(between(rng, 10, 1e6) for _ in range(3))
    divisor = (1.0, *(between(rng, 0.5, 8) for _ in range(2)))
    width = 2 * int(rng.integers(8, 33))
    powers = torch.arange(0, width, 2, dtype=torch.float32) / width
    axes = [1 / theta**powers for theta in base]
    axes = [w if by == 1 else w / by for w, by in zip(axes, divisor, strict=True)]
    pairs = Pairs.axial(rotary_dim=3 * width, axes=3)
    spec = RopeSpec(head_dim=3 * width, pairs=pairs, rule=PerAxis(base, divisor))
    return spec, torch.cat(axes).numpy()


@pytest.mark.parametrize("make", [turns, bases])
def test_turns_and_bases_of_axes_keep_their_bound_and_come_near_it(make, rng):
    shares = [used(*make(rng), None) for _ in range(DRAWS)]
    assert 0.5 < max(shares) <= 1
    spec, ladder = make(rng)
    assert used(spec, ladder * np.float32(1 + 1e-5), None) > 1


def test_a_step_of_llama3_is_either_value_at_the_step_alone(rng):
    """Where low is high the share is 0 or 1: the bound is the whole factor at the step, and some u
    elsewhere.
    """
    spec = RopeSpec(
        head_dim=64, theta=5e5, pairs=Pairs.single(rotary_dim=64), rule=Llama3(8.0, 1.0, 4.0, 8192)
    )
    turns = 8192 / (2 * math.pi) * 5e5 ** (-2 * 9 / 64)
    for low, at_the_step in ((turns, [9]), (turns * 1.001, [])):
        object.__setattr__(spec.rule, "low_freq_factor", low)
        object.__setattr__(spec.rule, "high_freq_factor", low)
        bound = bounds.float32_ladder(spec)
        assert np.flatnonzero(bound > 1e-5).tolist() == at_the_step and np.isfinite(bound).all()


BASE = {
    "model_type": "llama",
    "hidden_size": 512,
    "num_attention_heads": 4,
    "max_position_embeddings": 800_000,
}
LENGTH = {"original_max_position_embeddings": 200_000}
FACTORS = {
    "short_factor": [1 + k / 64 for k in range(64)],
    "long_factor": [1 + k for k in range(64)],
}
YARN = {"rope_type": "yarn", "factor": 4.0, **LENGTH}
CASES = {  # rope_parameters, and what is off by 1e-5
    "default": ({"rope_type": "default"}, ["theta"]),
    "linear": ({"rope_type": "linear", "factor": 4.0}, ["theta", "factor"]),
    "dynamic": (
        {"rope_type": "dynamic", "factor": 4.0},
        ["theta", "factor", "max_position_embeddings"],
    ),
    "yarn": (YARN, ["theta", "factor"]),
    "yarn, mscale": (YARN | {"mscale": 1.0, "mscale_all_dim": 0.7}, ["mscale", "mscale_all_dim"]),
    "yarn, attention_factor": (YARN | {"attention_factor": 0.9}, ["attention_factor"]),
    "yarn, not truncated": (
        YARN | {"truncate": False},
        ["theta", "factor", "original_max_position_embeddings", "beta_fast", "beta_slow"],
    ),
    "longrope": (
        {"rope_type": "longrope", "factor": 4.0, **FACTORS, **LENGTH},
        ["theta", "factor", "original_max_position_embeddings", "short_factor", "long_factor"],
    ),
    "llama3": (
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            **LENGTH,
        },
        [
            "theta",
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ],
    ),
    "proportional": ({"rope_type": "proportional", "factor": 4.0}, ["theta", "factor"]),
}
OFF = [(name, key, sign) for name, (_, keys) in CASES.items() for key in keys for sign in (1, -1)]


def cases(name):
    """The cases of one of `CASES`: two where the length decides."""
    return cases_of(name, BASE | {"rope_parameters": CASES[name][0] | {"rope_theta": 5e5}})


def off(spec, key, share):
    """The spec with one parameter off by a share of it; of a list, each of its numbers."""
    if key == "theta":
        return replace(spec, theta=spec.theta * (1 + share))
    value = getattr(spec.rule, key)
    wrong = (
        tuple(v * (1 + share) for v in value) if isinstance(value, tuple) else value * (1 + share)
    )
    return replace(
        spec, rule=replace(spec.rule, **{key: round(wrong) if isinstance(value, int) else wrong})
    )


def is_red(case: Case):
    return not all(record.ok for record in against_transformers(Referee(case)))


@pytest.mark.parametrize("name", CASES)
def test_what_is_right_is_green(name):
    assert not any(map(is_red, cases(name)))


@pytest.mark.parametrize("name, key, sign", OFF)
def test_a_hundred_thousandth_turns_the_report_red(name, key, sign):
    assert any(is_red(replace(case, spec=off(case.spec, key, sign * 1e-5))) for case in cases(name))


UNSEEN = [
    ("yarn", "original_max_position_embeddings"),  # the ends of the ramp are whole indices
    ("yarn", "beta_fast"),
    ("yarn", "beta_slow"),
]


@pytest.mark.parametrize("name, key", UNSEEN)
def test_what_is_rounded_away_is_no_difference(name, key):
    """Not a gap of the bound: every frequency and factor is the same number."""
    (case,) = cases(name)
    right, wrong = (inverse_frequencies(spec) for spec in (case.spec, off(case.spec, key, 1e-5)))
    assert all(np.array_equal(a, b) for a, b in zip(right, wrong, strict=True))
