"""The guard against contraction: what it keeps, and that without it, or with +0.0 in its place,
equality is lost.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax

import rope_jax
import rope_torch
from rope_parity.atlas import DIFFERENCES
from rope_parity.backends import Jax, Torch, array, tensor
from rope_parity.cases import Case
from rope_parity.constructed import SPECS
from rope_parity.measure import DTYPES, compare
from rope_spec import Arithmetic

SPEC = SPECS["half"]
EXACT = Arithmetic()
POSITIONS = np.arange(512)[None]


@pytest.fixture
def fresh_compilations():
    jax.clear_caches()
    yield
    jax.clear_caches()


def is_equal_under_jit(backward: bool) -> bool:
    case = Case("bits", SPEC, 4096)
    x, ct = case.x(DTYPES["float32"]), case.x(DTYPES["float32"], seed=1)
    table = Torch().cos_sin(SPEC, case.positions(), None, EXACT)
    if backward:
        pair = (branch.gradient(x, ct, table, SPEC, EXACT) for branch in (Jax("jit"), Torch()))
    else:
        pair = (branch.rotate(x, table, SPEC, EXACT) for branch in (Jax("jit"), Torch()))
    return compare(*pair, 1.0, 0.0).ok


INSTEAD = {
    "nothing": lambda product: product,
    "+0.0 behind a barrier": lambda product: (
        product + lax.optimization_barrier(jnp.zeros((), product.dtype))
    ),
}


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("instead", INSTEAD.values(), ids=INSTEAD)
def test_without_the_guard_bits_differ(instead, backward, monkeypatch, fresh_compilations):
    assert is_equal_under_jit(backward)
    jax.clear_caches()
    monkeypatch.setattr("rope_jax.rounding.keep_rounding", instead)
    assert not is_equal_under_jit(backward)


@pytest.mark.parametrize("instead", [INSTEAD["nothing"]])
def test_without_the_guard_a_split_table_differs(instead, monkeypatch, fresh_compilations):
    ours = lambda: np.stack(
        rope_jax.lookup(rope_jax.init_cache(SPEC, "split_table", 2**16), POSITIONS + 50_000)
    )
    theirs = rope_torch.lookup(
        rope_torch.init_cache(SPEC, "split_table", 2**16), torch.tensor(POSITIONS + 50_000)
    )
    theirs = np.stack([array(table) for table in theirs])
    assert compare(ours(), theirs, 1.0, 0.0).ok
    jax.clear_caches()
    monkeypatch.setattr("rope_jax.cache.keep_rounding", instead)
    assert not compare(ours(), theirs, 1.0, 0.0).ok


def test_the_guard_changes_no_number(rng):
    bits = np.concatenate(
        [rng.integers(0, 2**32, 10_000), [0, 2**31, 0x7F800000, 0xFF800000, 0xFFFFFFFF, 0x7FFFFFFF]]
    )
    values = bits.astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        values = values[
            (np.abs(values) >= np.finfo(np.float32).tiny) | (values == 0) | np.isnan(values)
        ]
    kept = np.asarray(jax.jit(rope_jax.rounding.keep_rounding)(values))
    assert compare(kept, values, 1.0, 0.0).ok


def test_rounding_to_bfloat16_is_that_of_torch():
    """For each bfloat16, and below, at and above the tie that may follow it. NaNs are quiet, as
    those of products are.
    """
    upper = np.arange(2**16, dtype=np.uint32)[:, None] << 16
    values = (upper + np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)).view(np.float32)
    values = values[(np.abs(values) >= np.finfo(np.float32).tiny) | (values == 0)]
    values = np.concatenate(
        [
            values,
            np.array([0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFC08000], np.uint32).view(np.float32),
        ]
    )
    ours = jax.jit(rope_jax.rounding.rounded_to_bfloat16)(values)
    assert compare(np.asarray(ours), array(torch.tensor(values).bfloat16().float()), 1.0, 0.0).ok


@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours_change_nothing(dtype, rotate_in, rng):
    """A cast, a scale, an addition or a matmul before; a scale, an addition or an einsum after: the
    same bits.
    """
    x = jnp.asarray(rng.standard_normal((1, 512, 2, 64)), jnp.float32)
    weight, keys = (
        jnp.asarray(rng.standard_normal((64, 64)), dtype),
        jnp.asarray(rng.standard_normal((1, 512, 2, 64)), dtype),
    )
    cos, sin = rope_jax.cos_sin(SPEC, POSITIONS)
    arithmetic = Arithmetic(rotate_in=rotate_in)
    before = {
        "cast": lambda x: x.astype(dtype),
        "scale": lambda x: x.astype(dtype) * jnp.asarray(1.1, dtype),
        "add": lambda x: x.astype(dtype) + jnp.asarray(0.3, dtype),
        "matmul": lambda x: x.astype(dtype) @ weight,
    }
    after = {
        "scale": lambda y: y * jnp.asarray(1.1, dtype),
        "add": lambda y: y + jnp.asarray(0.3, dtype),
        "einsum": lambda y: jnp.einsum("bqnh,bknh->bnqk", y, keys),
    }
    for first in before.values():
        entering = jax.jit(first)(x)
        expected = rope_torch.rotate(
            SPEC,
            tensor(np.asarray(entering)),
            tensor(np.asarray(cos)),
            tensor(np.asarray(sin)),
            heads_axis=-2,
            arithmetic=arithmetic,
        )
        for last in after.values():
            both = lambda x, cos, sin, first=first, last=last: (
                last(y := rope_jax.rotate(SPEC, first(x), cos, sin, arithmetic=arithmetic)),
                y,
            )
            assert compare(np.asarray(jax.jit(both)(x, cos, sin)[1]), array(expected), 1.0, 0.0).ok


def test_every_difference_of_the_atlas_is_there():
    """On a CPU each program shows what it claims; on another device some may not."""
    if jax.default_backend() == "cpu":
        assert [d.name for d in DIFFERENCES if not d.program()[1] > 0] == []
