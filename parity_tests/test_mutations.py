"""Each rule, layout and map broken on purpose: what the referee measures against the oracle and
transformers must break too.
"""

from dataclasses import replace

import numpy as np
import pytest

from rope_parity import bounds, oracle
from rope_parity.backends import Torch
from rope_parity.cases import CONFIGS, Case, cases_of
from rope_parity.constructed import SPECS
from rope_parity.measure import DTYPES, compare
from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    Proportional,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)
from rope_spec.frequencies import _computed

EXACT = Arithmetic()


def rule(name: str, **changes) -> tuple[RopeSpec, RopeSpec]:
    spec = SPECS[name]
    return spec, replace(spec, rule=replace(spec.rule, **changes))


def changed(name: str, **changes) -> tuple[RopeSpec, RopeSpec]:
    return SPECS[name], replace(SPECS[name], **changes)


LONG = tuple(2.001 + k / 2 for k in range(32))
MUTATIONS = {
    "linear: another factor": rule("linear", factor=4.001),
    "linear: dropped": changed("linear", rule=None),
    "dynamic: another factor": rule("dynamic", factor=4.001),
    "dynamic: another length": rule("dynamic", max_position_embeddings=2049),
    "dynamic: dropped": changed("dynamic", rule=None),
    "yarn: bent ramp, fast": rule("yarn, not truncated", beta_fast=32.1),
    "yarn: bent ramp, slow": rule("yarn, not truncated", beta_slow=1.01),
    "yarn: truncated": rule("yarn, not truncated", truncate=True),
    "yarn: another length": rule("yarn, not truncated", original_max_position_embeddings=4097),
    "yarn: mscale dropped": rule("yarn", mscale=None),
    "yarn: mscale applied twice": rule("yarn, two mscales", mscale_all_dim=1.0),
    "yarn: attention factor dropped": rule("yarn, own attention factor", attention_factor=None),
    "yarn: dropped": changed("yarn", rule=None),
    "longrope: short for long": rule("longrope", long_factor=SPECS["longrope"].rule.short_factor),
    "longrope: other factors": rule("longrope", long_factor=LONG),
    "longrope: another stretch": rule("longrope", factor=32.1),
    "llama3: smoothing dropped": rule("llama3", low_freq_factor=2.499, high_freq_factor=2.501),
    "llama3: another high end": rule("llama3", high_freq_factor=4.01),
    "llama3: dropped": changed("llama3", rule=None),
    "proportional: one frequency less": rule("proportional", rotated=7),
    "proportional mistaken for partial": changed(
        "proportional", rule=Linear(8.0), pairs=Pairs.single(rotary_dim=16)
    ),
    "explicit: factor dropped": rule("explicit", attention_factor=1.0),
    "theta": changed("half", theta=10000.1),
    "denominator": changed("odd", pairs=Pairs((0,) * 13, tuple(range(13)), 26)),
    "sections mistaken for strided": changed(
        "strided", pairs=Pairs.sections(mrope_section=(12, 10, 10))
    ),
    "axes swapped": changed("sections", pairs=Pairs.sections(mrope_section=(12, 12, 8))),
    "axial ladder": changed("axial", pairs=replace(Pairs.axial(rotary_dim=72), frequency_dim=72)),
    "shared ladder": changed("axial, shared ladder", pairs=Pairs.axial(rotary_dim=64)),
    "interleaved read as half": changed("interleaved", read="half"),
    "de-interleave written interleaved": changed("de-interleave", write=None),
    "half per axis read as half": changed("half per axis", read="half"),
    "start": changed("last half, interleaved", start=0),
    "sign": changed("negative sign", sign=1),
}


def verdict(ours: RopeSpec, exact: RopeSpec) -> bool:
    """What the referee says of the rotation by `ours`, measured against the oracle for `exact`."""
    case = Case("mutation", exact, 10**5)
    positions, seq_len, x = case.positions(), 10**5, case.x(DTYPES["float32"])[:1]
    table = Torch().cos_sin(ours, positions, seq_len, EXACT)
    y = Torch().rotate(x, table, ours, EXACT)
    cos, sin = oracle.cos_sin(exact, positions, seq_len)
    expected = oracle.rotate(exact, x, cos[:, :, None], sin[:, :, None])
    factor = float(oracle.attention_factor(exact))
    bound = bounds.rotation(bounds.exact_table(factor) / factor, x.dtype, EXACT) * factor
    length = np.abs(x).max() * np.sqrt(
        2
    )  # of the longest pair, so that layouts need not agree on what a pair is
    return compare(y, expected, length, bound).ok


@pytest.mark.parametrize("exact, broken", MUTATIONS.values(), ids=MUTATIONS)
def test_a_broken_spec_is_called_broken(exact, broken):
    assert verdict(exact, exact) and not verdict(broken, exact)


def test_every_rule_is_mutated():
    mutated = {type(exact.rule) for exact, _ in MUTATIONS.values()}
    assert {Linear, DynamicNTK, Yarn, LongRope, Llama3, Proportional} <= mutated


@pytest.mark.parametrize(
    "name, broken", [("_llama3", lambda w, *_: 1 / w), ("_yarn", lambda w, *_: 1 / w)]
)
def test_a_broken_formula_is_called_broken(name, broken, monkeypatch):
    """The same with the code instead of the description: the formula of a rule replaced by that
    without scaling.
    """
    config = {"_llama3": "llama-3.1-8b", "_yarn": "deepseek-v3"}[name]
    spec = cases_of(config, CONFIGS / f"{config}.json")[0].spec
    monkeypatch.setattr(f"rope_spec.frequencies.{name}", broken)
    monkeypatch.setattr(
        "rope_torch.phase.inverse_frequencies", _computed.__wrapped__
    )  # not the remembered one
    assert not verdict(spec, spec)


def test_softmax_scale_factor_is_mutated_too():
    exact, broken = rule("yarn", scales_softmax=False)
    assert (
        inverse_frequencies(exact).softmax_scale_factor
        == float(oracle.softmax_scale_factor(exact))
        != 1.0
    )
    assert inverse_frequencies(broken).softmax_scale_factor == 1.0
