"""Arguments that cannot be meant: the same error in both branches, which says what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_spec
import rope_torch
from rope_parity.backends import array, tensor
from rope_parity.constructed import SPECS
from rope_spec import RopeSpec

SPEC, POSITIONS = RopeSpec(head_dim=8), np.arange(16, dtype=np.int32)[None]
X = np.ones((1, 16, 4, 8), np.float32)  # (B, S, N, H)
COS = np.ones((1, 16, 4), np.float32)
FULL = np.ones((1, 16, 8), np.float32)
AXES = pytest.mark.parametrize("branch, put", [(rope_jax, jnp.asarray), (rope_torch, tensor)])


def rotate(branch, put, x=X, cos=COS, sin=COS, heads_axis=-2, spec=SPEC):
    put = lambda t, put=put: put(t) if isinstance(t, np.ndarray) else t
    return branch.rotate(spec, put(x), put(cos), put(sin), heads_axis=heads_axis)


def cos_sin(branch, put, positions, seq_len=None, spec=SPEC):
    put = put if isinstance(positions, np.ndarray) else lambda t: t
    return branch.cos_sin(spec, put(positions), seq_len=seq_len)


WRONG = {
    "one position for all tokens": (
        lambda *at: rotate(*at, cos=COS[:, :1], sin=COS[:, :1]),
        ValueError,
        r"tokens of shape \(1, 16\), but cos for \(1, 1\). Expected a row for each token",
    ),
    "one row of cos": (
        lambda *at: rotate(*at, cos=COS[0, 0], sin=COS[0, 0]),
        ValueError,
        r"but cos for \(\). Expected a row for each token",
    ),
    "an axis that x lacks": (
        lambda *at: rotate(*at, cos=COS[None], sin=COS[None]),
        ValueError,
        r"tokens of shape \(1, 16\), but cos for \(1, 1, 16\). Expected a row for each token",
    ),
    "two batches for one": (
        lambda *at: rotate(*at, cos=COS.repeat(2, 0), sin=COS.repeat(2, 0)),
        ValueError,
        r"tokens of shape \(1, 16\), but cos for \(2, 16\). Expected a row for each token",
    ),
    "another axis of heads": (
        lambda *at: rotate(*at, heads_axis=-3),
        ValueError,
        r"heads_axis=-3, hence tokens of shape \(1, 4\), but cos for \(1, 16\)",
    ),
    "the channels as heads": (
        lambda *at: rotate(*at, heads_axis=3),
        ValueError,
        r"got heads_axis=3 for x of shape \(1, 16, 4, 8\), expected an axis before that of the ch",
    ),
    "an axis that is not there": (
        lambda *at: rotate(*at, heads_axis=-5),
        ValueError,
        "got heads_axis=-5 for x of shape",
    ),
    "an axis that is text": (
        lambda *at: rotate(*at, heads_axis="x"),
        TypeError,
        "heads_axis: got 'x', expected a whole number",
    ),
    "the order of before": (
        lambda branch, put: branch.rotate(put(X), put(COS), put(COS), SPEC),
        TypeError,
        r"as the spec, expected a RopeSpec. It is the first argument: .*rotate\(spec, x, cos, s",
    ),
    "a list": (lambda *at: rotate(*at, x=[[1.0]]), TypeError, "got list as x, expected an array"),
    "whole numbers as x": (
        lambda *at: rotate(*at, x=X.astype(np.int32)),
        TypeError,
        "got x of dtype int32, expected a floating dtype",
    ),
    "whole numbers as cos": (
        lambda *at: rotate(*at, cos=COS.astype(np.int32)),
        TypeError,
        "got cos of dtype int32, expected a floating dtype",
    ),
    "complex cos": (
        lambda *at: rotate(*at, cos=COS.astype(np.complex64)),
        TypeError,
        "got cos of dtype complex64, expected a floating dtype",
    ),
    "no positions": (
        lambda *at: cos_sin(*at, None),
        TypeError,
        "got None as positions, expected an array",
    ),
    "a list of positions": (
        lambda *at: cos_sin(*at, [[0, 1]]),
        TypeError,
        "got list as positions, expected an array",
    ),
    "one position": (
        lambda *at: cos_sin(*at, 3),
        TypeError,
        "got int as positions, expected an array",
    ),
    "a position without an axis": (
        lambda *at: cos_sin(*at, np.array(3, np.int32)),
        ValueError,
        r"positions: got shape \(\), expected \(..., S\)",
    ),
    "float positions": (
        lambda *at: cos_sin(*at, np.ones((1, 3), np.float32)),
        TypeError,
        "positions: got float32, expected integers",
    ),
    "bool positions": (
        lambda *at: cos_sin(*at, np.ones((1, 3), bool)),
        TypeError,
        "positions: got bool, expected integers",
    ),
    "no length": (
        lambda *at: cos_sin(*at, POSITIONS, spec=SPECS["dynamic"]),
        TypeError,
        "seq_len: got None for a spec with DynamicNTK, expected the current length",
    ),
    "no length for two sets": (
        lambda *at: cos_sin(*at, POSITIONS, spec=SPECS["longrope"]),
        TypeError,
        "seq_len: got None for a spec with LongRope, expected the current length",
    ),
    "a length that is no whole number": (
        lambda *at: cos_sin(*at, POSITIONS, 8.5, spec=SPECS["longrope"]),
        TypeError,
        "seq_len: got 8.5, expected a whole number",
    ),
    "True as a length": (
        lambda *at: cos_sin(*at, POSITIONS, True, spec=SPECS["dynamic"]),
        TypeError,
        "seq_len: got True, expected a whole number",
    ),
    "an array of no whole numbers as a length": (
        lambda *at: cos_sin(*at, POSITIONS, at[1](np.float32(8)[None]), spec=SPECS["dynamic"]),
        TypeError,
        "seq_len: got float32, expected integers",
    ),
    "an array of truths as a length": (
        lambda *at: cos_sin(*at, POSITIONS, at[1](np.ones(1, bool)), spec=SPECS["dynamic"]),
        TypeError,
        "seq_len: got bool, expected integers",
    ),
    "x and the spec exchanged": (
        lambda branch, put: branch.unrotate(put(X), SPEC, put(POSITIONS)),
        TypeError,
        "unrotate: got .* as the spec, expected a RopeSpec",
    ),
    "a name for another spec": (
        lambda branch, put: branch.rerotate(SPEC, put(X), *[put(POSITIONS)] * 2, to_spec="yarn"),
        TypeError,
        "rerotate: got str as the spec, expected a RopeSpec",
    ),
    "float positions of rotated keys": (
        lambda branch, put: branch.unrotate(SPEC, put(X), put(np.ones((1, 16), np.float32))),
        TypeError,
        "positions: got float32, expected integers",
    ),
    "no positions of rotated keys": (
        lambda branch, put: branch.unrotate(SPEC, put(X), None),
        TypeError,
        "unrotate: got None as positions, expected an array",
    ),
    "no positions of rows": (
        lambda branch, put: branch.lookup(branch.init_cache(SPEC, "fixed", 4), None),
        TypeError,
        "lookup: got None as positions, expected an array",
    ),
    "another sin": (
        lambda branch, put: branch.apply_rotary_pos_emb(
            *map(put, (X, X, FULL, FULL[:, :1])), None, 2
        ),
        ValueError,
        r"cos of shape \(1, 16, 8\) and sin of shape \(1, 1, 8\), expected .* and both tables",
    ),
    "a table of 2.7 rows": (
        lambda branch, put: branch.init_cache(SPEC, "fixed", 2.7),
        TypeError,
        "length: got 2.7, expected a whole number",
    ),
    "a table that grows to 8.5 rows": (
        lambda branch, put: branch.grow_cache(branch.init_cache(SPEC, "lazy", 8), 8.5),
        TypeError,
        "length: got 8.5, expected a whole number",
    ),
    "a table that grows to True rows": (
        lambda branch, put: branch.grow_cache(branch.init_cache(SPEC, "lazy", 8), True),
        TypeError,
        "length: got True, expected a whole number",
    ),
}


@pytest.mark.unchecked
@AXES
@pytest.mark.parametrize("call, error, message", WRONG.values(), ids=WRONG)
def test_it_is_refused(branch, put, call, error, message):
    with pytest.raises(error, match=message):
        call(branch, put)


@AXES
@pytest.mark.parametrize("spec", [SPECS["dynamic"], SPECS["longrope"]], ids=["dynamic", "longrope"])
def test_keys_of_a_length_ask_for_it(spec, branch, put):
    x = put(np.ones((1, 16, 4, spec.head_dim), np.float32))
    for call in (
        lambda: branch.rerotate(spec, x, put(POSITIONS), put(POSITIONS), heads_axis=-2),
        lambda: branch.unrotate(spec, x, put(POSITIONS), heads_axis=-2),
        lambda: branch.lookup(branch.init_cache(spec), put(POSITIONS)),
    ):
        with pytest.raises(TypeError, match="seq_len: got None for a spec with"):
            call()


@AXES
def test_a_length_of_numpy_is_a_length(branch, put):
    """As a scalar, as an array, and as a Python int."""
    spec = SPECS["longrope"]
    tables = [cos_sin(branch, put, POSITIONS, n, spec) for n in (5000, np.int64(5000))]
    tables.append(cos_sin(branch, put, POSITIONS, np.array([5000], np.int32), spec))
    assert all(np.array_equal(tables[0][0], t[0].reshape(tables[0][0].shape)) for t in tables)


@AXES
@pytest.mark.parametrize("heads_axis, shape", [(2, (1, 16, 4, 8)), (1, (1, 4, 16, 8))])
def test_an_axis_may_be_counted_from_the_front(branch, put, heads_axis, shape, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    cos, sin = rope_spec.cos_sin(SPEC, POSITIONS)
    ours = rotate(branch, put, x, cos, sin, heads_axis)
    assert np.array_equal(ours, rotate(branch, put, x, cos, sin, heads_axis - 4))


def test_positions_outside_of_a_full_width_table(rng):
    """A negative row is none: transformers' `cos[position_ids]` takes the last rows in silence."""
    q, table = rng.standard_normal((1, 2, 3, 8)).astype(np.float32), np.ones((5, 8), np.float32)
    ids = np.array([[0, -1, 2]])
    y, _ = rope_jax.apply_rotary_pos_emb(*map(jnp.asarray, (q, q, table, table)), jnp.asarray(ids))
    assert np.isnan(np.asarray(y)).all((0, 1, 3)).tolist() == [False, True, False]
    for wrong in (ids, ids + 3):
        with pytest.raises(IndexError):
            rope_torch.apply_rotary_pos_emb(*map(tensor, (q, q, table, table, wrong)))


def test_float64_is_computed_in_float64(rng):
    """Where cos and sin are float64 too; compared with NumPy. JAX has it with jax_enable_x64
    alone.
    """
    x, angle = rng.standard_normal((1, 16, 4, 8)), rng.standard_normal((1, 16, 4))
    with pytest.raises(TypeError, match="x of dtype float64 with cos of float32 and sin"):
        rotate(rope_torch, tensor, x)
    for cos, sin in ((np.cos(angle), COS), (COS, np.sin(angle))):
        with pytest.raises(TypeError, match="expected all in float64: the result is as accurate"):
            rotate(rope_torch, tensor, x, cos, sin)
    y = rotate(rope_torch, tensor, x, np.cos(angle), np.sin(angle))
    a, b, angle = x[..., :4], x[..., 4:], angle[:, :, None]
    expected = [a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)]
    assert y.dtype == torch.float64
    assert np.abs(array(y) - np.concatenate(expected, -1)).max() <= 4 * 2.0**-52 * np.abs(x).max()


def test_a_batch_may_broadcast_and_a_sequence_may_not(rng):
    """One row of positions for three rows of x is that row three times."""
    x = jnp.asarray(rng.standard_normal((3, 16, 4, 8)), jnp.float32)
    cos, sin = rope_jax.cos_sin(SPEC, POSITIONS)
    rows = [rope_jax.rotate(SPEC, x[i : i + 1], cos, sin) for i in range(3)]
    assert np.array_equal(rope_jax.rotate(SPEC, x, cos, sin), np.concatenate(jax.device_get(rows)))
