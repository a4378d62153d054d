"""What others report of their rotary embeddings, tried on this one, where it was wrong at first.

Each test names its report, an issue or a pull request on GitHub.
"""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from rope_spec import Arithmetic, Pairs, RopeSpec

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
        x = torch.zeros(2, 5, 8, dtype=torch.uint8).view(getattr(torch, dtype))
        with pytest.raises(TypeError, match=f"got x of dtype {dtype}, expected a floating dtype"):
            rope_torch.rotate(spec, x, cos, cos)
    with pytest.raises(TypeError, match="got x of dtype float8_e8m0fnu, expected a floating dty"):
        rope_jax.rotate(spec, jnp.ones((5, 2, 8), jnp.float8_e8m0fnu), *[jnp.ones((5, 4))] * 2)
