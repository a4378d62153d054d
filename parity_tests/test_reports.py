"""What others report of their rotary embeddings, tried on this one, where it was wrong at first.

Each test names its report, an issue or a pull request on GitHub.
"""

from dataclasses import replace

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from parity_tests.test_check_rope import exact_rotation
from rope_parity import check_rope
from rope_spec import Arithmetic, Pairs, RopeSpec, Yarn

PART = Pairs.single(rotary_dim=64)
LAYOUTS = {  # all forms of the CPU: whole heads and a part, in halves, neighbours, and across
    "half": RopeSpec(head_dim=64),
    "half, a part": RopeSpec(head_dim=72, pairs=PART),
    "interleaved": RopeSpec(head_dim=64, read="interleaved"),
    "interleaved, a part": RopeSpec(head_dim=72, pairs=PART, read="interleaved"),
    "de-interleaved": RopeSpec(head_dim=64, read="interleaved", write="half"),
    "interleaving": RopeSpec(head_dim=64, read="half", write="interleaved"),
}


@pytest.mark.parametrize("length", [7, 2000])
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_numbers_of_8_bits_in_torch_too(name, dtype, length, rng):
    """Fantasy-AMAP/fantasy-portrait#12: "Promotion for Float8 Types is not supported"."""
    spec, positions = LAYOUTS[name], np.arange(length)[None]
    x = rng.standard_normal((1, length, 3, spec.head_dim)).astype(getattr(ml_dtypes, dtype))
    expected = rope_jax.rotate(spec, jnp.asarray(x), *rope_jax.cos_sin(spec, positions))
    table = rope_torch.cos_sin(spec, positions)
    t = torch.from_numpy(x.view(np.uint8)).view(getattr(torch, dtype)).requires_grad_()
    y = rope_torch.rotate(spec, t, *table, heads_axis=-2)
    with torch.no_grad():
        assert torch.equal(rope_torch.rotate(spec, t, *table, heads_axis=-2).float(), y.float())
    assert np.array_equal(y.detach().view(torch.uint8), np.asarray(expected).view(np.uint8))
    y.backward(y.detach())
    assert t.grad is not None and t.grad.dtype == t.dtype


FEW_BITS = r"got {} of dtype float8_e4m3fn, expected 16 bits or more: .* Cast it, or call rotate"


@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
def test_where_they_would_be_added_or_promoted(branch):
    few, wide = (
        (torch.ones(1, 2, 5, 8).to(torch.float8_e4m3fn), torch.ones(5, 8))
        if branch is rope_torch
        else (jnp.ones((1, 2, 5, 8), jnp.float8_e4m3fn), jnp.ones((5, 8)))
    )
    for q, cos, named in ((few, wide, "q"), (few, few[0, 0], "q"), (wide[None, None], few, "cos")):
        with pytest.raises(TypeError, match=FEW_BITS.format(named)):
            branch.apply_rotary_pos_emb(q, q, cos, cos)
    if branch is rope_torch:  # which has no sum of such numbers, as XLA has
        in_input = Arithmetic(rotate_in="input")
        with pytest.raises(TypeError, match=FEW_BITS.format("x")):
            rope_torch.rotate(RopeSpec(head_dim=8), few, *[wide[:, :4]] * 2, arithmetic=in_input)


@pytest.mark.unchecked
def test_a_format_of_scales_is_no_number():
    spec, cos = RopeSpec(head_dim=8), torch.ones(5, 4)
    for dtype in ("float8_e8m0fnu", "float4_e2m1fn_x2"):
        if not hasattr(torch, dtype):  # torch 2.6
            continue
        x = torch.zeros(2, 5, 8, dtype=torch.uint8).view(getattr(torch, dtype))
        with pytest.raises(TypeError, match=f"got x of dtype {dtype}, expected a floating dtype"):
            rope_torch.rotate(spec, x, cos, cos)
    with pytest.raises(TypeError, match="got x of dtype float8_e8m0fnu, expected a floating dty"):
        rope_jax.rotate(spec, jnp.ones((5, 2, 8), jnp.float8_e8m0fnu), *[jnp.ones((5, 4))] * 2)


def rounding(spec, **kinds):
    """A rope of halves in float32, of which the frequencies or cos and sin are rounded."""
    pass_by = lambda t, kind: t if kind is None else t.astype(kind).astype(np.float32)
    w = spec.theta ** (-np.arange(0, spec.head_dim, 2, dtype=np.float32) / spec.head_dim)
    w = pass_by(w.astype(np.float32), kinds.get("frequencies"))

    def rope(x, positions):
        angles = (positions[..., None].astype(np.float32) * w)[:, :, None]
        cos, sin = (pass_by(f(angles), kinds.get("table")) for f in (np.cos, np.sin))
        a, b = np.split(x.astype(np.float32), 2, -1)
        y = np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)
        return pass_by(y, kinds.get("products")).astype(x.dtype)

    return rope, w


HALVES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("spec", [RopeSpec(head_dim=64), RopeSpec(head_dim=128, theta=1e6)])
def test_the_error_of_rounded_frequencies_is_said(spec, kind):
    """sgl-project/sglang-jax#1472: 0.83 at position 4095, where 6e-07 was said."""
    rope, w = rounding(spec, frequencies=HALVES[kind])
    verdict = check_rope(rope, spec)
    assert verdict.names == ("frequencies_rounded",)
    exact = spec.theta ** (-np.arange(0, spec.head_dim, 2) / spec.head_dim)
    turns = (np.exp(1j * verdict.errors.positions[:, None] * rates) for rates in (w, exact))
    error = np.abs(np.subtract(*turns)).max()
    # `rope` rounds an angle of up to 4094 radians, cos, sin, two products and a sum to float32
    assert abs(verdict.findings[0].departure.size - error) < (4094 + 5) * 2.0**-24
    assert f"Largest error: {error:.2g} of the length" in " ".join(verdict.text.split())


@pytest.mark.parametrize("what", ["table", "products"])
@pytest.mark.parametrize("head_dim, theta, kind", [(128, 1e6, "bfloat16"), (128, 5e5, "float16")])
def test_a_rounded_table_is_all_that_is_found(head_dim, theta, kind, what):
    """sgl-project/sglang#33117: of frequencies, it shows no more digits than it has itself."""
    spec = RopeSpec(head_dim=head_dim, theta=theta)
    assert check_rope(rounding(spec, **{what: HALVES[kind]})[0], spec).names == (f"{what}_rounded",)


YARN = Yarn(factor=8.0, original_max_position_embeddings=4096)


@pytest.mark.parametrize(
    "name, found", [("truncate", False), ("original_max_position_embeddings", 8192)]
)
def test_the_number_of_a_rule_that_differs_is_said(name, found):
    """keras-team/keras-hub#2981: YaRN without `truncate`; a rule in full was cut off before it."""
    spec = RopeSpec(head_dim=64, rule=YARN)
    theirs = replace(spec, rule=replace(YARN, **{name: found}))
    verdict = check_rope(lambda x, p: exact_rotation(theirs, x, p), spec, context=8192)
    sentence = f"found {name}={found}, described {name}={getattr(YARN, name)}."
    assert sentence in " ".join(verdict.text.split())
