"""Lesson 4.1.3: every code task in both frameworks, and both call by call over random lengths and
dtypes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from rope_jax import apply_rotary_pos_emb, deepseek
from rope_parity.backends import array, tensor
from rope_parity.measure import DTYPES, compare, eps_of
from rope_torch import DeepseekV3RotaryEmbedding, apply_rotary_pos_emb as torch_apply_rotary_pos_emb

U = 2.0**-24


class AsWritten(torch.nn.Module):
    """The class of the lesson's sheet, as the reference."""

    def __init__(self, dim, max_position_embeddings=2048, base=10000, device=None):
        super().__init__()
        self.dim = dim
        self.max_position_embeddings = max_position_embeddings
        self.base = base
        inv_freq = 1.0 / (self.base ** (torch.arange(0, self.dim, 2).float().to(device) / self.dim))
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self._set_cos_sin_cache(
            max_position_embeddings, self.inv_freq.device, torch.get_default_dtype()
        )
        self.max_seq_len_cached = max_position_embeddings

    def _set_cos_sin_cache(self, seq_len, device, dtype):
        self.max_seq_len_cached = seq_len
        t = torch.arange(seq_len, device=device, dtype=self.inv_freq.dtype)
        freqs = torch.outer(t, self.inv_freq.to(t.device))
        emb = torch.cat((freqs, freqs), dim=-1)
        self.register_buffer("cos_cached", emb.cos().to(dtype), persistent=False)
        self.register_buffer("sin_cached", emb.sin().to(dtype), persistent=False)

    def forward(self, x, seq_len=None):
        if seq_len is None:
            seq_len = x.shape[-2]
        if self.max_seq_len_cached is None or seq_len > self.max_seq_len_cached:
            self._set_cos_sin_cache(seq_len=seq_len, device=x.device, dtype=x.dtype)
        return self.cos_cached[:seq_len].to(dtype=x.dtype), self.sin_cached[:seq_len].to(
            dtype=x.dtype
        )


def x_of(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


class FromState:
    """`rope_jax.deepseek`, its state threaded along, called as the PyTorch modules are."""

    def __init__(self, *args, **kwargs):
        self.state = deepseek.init(*args, **kwargs)

    def __call__(self, x, **kwargs):
        table, self.state = deepseek.forward(self.state, jnp.asarray(x), **kwargs)
        return tuple(map(np.asarray, table))

    @property
    def max_seq_len_cached(self):
        return self.state.max_seq_len_cached


class FromModule(DeepseekV3RotaryEmbedding):
    """The PyTorch module on NumPy arrays."""

    def __call__(self, x, **kwargs):
        if "position_ids" in kwargs:
            kwargs["position_ids"] = torch.as_tensor(kwargs["position_ids"])
        return tuple(map(array, super().__call__(tensor(x), **kwargs)))


BOTH = pytest.mark.parametrize("rotary", [FromModule, FromState])


@BOTH
def test_task_1_basic_forward(rotary):
    rope = rotary(32, 5)
    cos, sin = rope(x_of(1, 4, 7, 32))
    assert cos.shape == sin.shape == (7, 32) and rope.max_seq_len_cached == 7
    assert rope(x_of(1, 4, 3, 32))[0].shape == (3, 32) and rope.max_seq_len_cached == 7


@BOTH
def test_task_2_the_length_is_inferred(rotary):
    rope = rotary(32, 5)
    cos, sin = rope(x_of(1, 2, 4, 32), seq_len=None)
    longer = rope(x_of(1, 2, 5, 32))
    assert cos.shape == (4, 32) and (cos == longer[0][:4]).all() and (sin == longer[1][:4]).all()


@BOTH
def test_task_3_the_dtype_of_x(rotary):
    cos, sin = rotary(16)(x_of(1, 1, 5, 16, dtype=np.float16))
    assert cos.dtype == sin.dtype == np.float16


@BOTH
def test_task_4_growth_happens_once(rotary):
    rope = rotary(32, 100)
    lengths = []
    for seq_len in (50, 200, 200, 150):
        assert rope(x_of(1, 1, 1, 32), seq_len=seq_len)[0].shape == (seq_len, 32)
        lengths.append(rope.max_seq_len_cached)
    assert lengths == [100, 200, 200, 200]


@BOTH
def test_advanced_position_ids_set_the_length(rotary):
    rope, position_ids = rotary(32, 5), np.array([0, 5, 10])
    cos, sin = rope(x_of(1, 1, 3, 32), seq_len=None, position_ids=position_ids)
    assert cos.shape == sin.shape == (11, 32) and rope.max_seq_len_cached == 11
    assert cos[position_ids].shape == (3, 32)


@pytest.mark.parametrize("seed", range(8))
def test_the_module_is_the_lessons_class(seed):
    """Over random calls: the same bytes, dtype and length as the class of the sheet, the poisoned
    table included.
    """
    rng = np.random.default_rng(seed)
    ours, sheet = DeepseekV3RotaryEmbedding(24, 6, 500), AsWritten(24, 6, 500)
    for _ in range(12):
        dtype, length = rng.choice(list(DTYPES)), int(rng.integers(1, 40))
        x = torch.zeros(1, 2, length, 24, dtype=getattr(torch, dtype))
        for mine, theirs in zip(ours(x), sheet(x), strict=True):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
            assert (array(mine).view(np.uint8) == array(theirs).view(np.uint8)).all()
        assert (
            ours.max_seq_len_cached == sheet.max_seq_len_cached
            and ours.cos_cached.dtype == sheet.cos_cached.dtype
        )
    assert ours.state_dict().keys() == sheet.state_dict().keys()
    halves = ours.half()(x), sheet.half()(x)
    assert torch.equal(halves[0][0], halves[1][0])


@pytest.mark.parametrize("seed", range(8))
def test_the_state_mirrors_the_module(seed):
    """Over random calls: the same shapes, dtypes and lengths, values within float32 angles and one
    rounding each.

    The inverse frequencies agree to 1 ULP, 2 u; an angle of at most p then differs by 2 u p for
    that and u p for each product, cos and sin by a further ULP of 2 u each side; the cast to the
    dtype of the table, and again to that of x, by eps / 2.
    """
    rng = np.random.default_rng(seed)
    module, state = DeepseekV3RotaryEmbedding(24, 6, 500), deepseek.init(24, 6, 500)
    assert compare(
        np.asarray(state.inv_freq), array(module.inv_freq), array(module.inv_freq), 2 * U
    ).ok
    for _ in range(12):
        dtype, length = rng.choice(list(DTYPES)), int(rng.integers(1, 40))
        x = jnp.zeros((1, 2, length, 24), dtype)
        table, state = deepseek.forward(state, x)
        expected = module(torch.zeros(1, 2, length, 24, dtype=getattr(torch, dtype)))
        angle = 4 * U * np.arange(length)[:, None]
        casts = eps_of(DTYPES[dtype]) + eps_of(np.asarray(state.cos_cached).dtype)
        for mine, theirs in zip(table, expected, strict=True):
            mine, theirs = np.asarray(mine), array(theirs)
            assert (
                mine.dtype == theirs.dtype and compare(mine, theirs, 1.0, angle + 4 * U + casts).ok
            )
        assert state.max_seq_len_cached == module.max_seq_len_cached
        assert str(state.cos_cached.dtype) == str(module.cos_cached.dtype).removeprefix("torch.")


def test_growth_under_jit_is_a_larger_state():
    traces = []

    @jax.jit
    def step(state, x):
        traces.append(x.shape)
        return deepseek.forward(state, x)

    state = deepseek.init(32, 5)
    for length in (3, 3, 7, 7, 3):
        (cos, _), state = step(state, jnp.zeros((1, 4, length, 32)))
        assert cos.shape == (length, 32)
    assert state.max_seq_len_cached == 7
    assert [shape[2] for shape in traces] == [
        3,
        7,
        7,
        3,
    ]  # first length, growth, the grown state, the grown state


def test_traced_position_ids_name_the_way_out():
    state, x = deepseek.init(32, 5), jnp.zeros((1, 1, 3, 32))
    with pytest.raises(
        ValueError, match=r"got traced position_ids.*Pass seq_len, a Python int that covers them"
    ):
        jax.jit(lambda p: deepseek.forward(state, x, position_ids=p))(jnp.array([0, 5, 10]))
    way_out = jax.jit(lambda p: deepseek.forward(state, x, seq_len=11, position_ids=p))(
        jnp.array([0, 5, 10])
    )
    assert way_out[0][0].shape == (11, 32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unsqueeze_dim", [1, 2])
def test_apply_rotary_pos_emb(dtype, unsqueeze_dim, rng):
    """= `q * cos + rotate_half(q) * sin` in torch, in every byte, with and without position_ids,
    eager and jitted.
    """
    cos, sin = (array(t) for t in DeepseekV3RotaryEmbedding(32, 64)(torch.zeros(1, 1, 64, 32)))
    cos, sin = cos.astype(DTYPES[dtype]), sin.astype(DTYPES[dtype])
    shape = (2, 3, 8, 32) if unsqueeze_dim == 1 else (2, 8, 3, 32)
    q, k = (rng.standard_normal(shape).astype(DTYPES[dtype]) for _ in range(2))
    position_ids = rng.integers(0, 64, (2, 8))
    for ids, c, s in (
        (position_ids, cos, sin),
        (None, cos[position_ids], sin[position_ids]),
        (None, cos[:8], sin[:8]),
    ):
        rows = [t if ids is None else t[ids] for t in (c, s)]
        expected = [_formula(tensor(x), *map(tensor, rows), unsqueeze_dim) for x in (q, k)]
        for apply, convert in (
            (apply_rotary_pos_emb, jnp.asarray),
            (torch_apply_rotary_pos_emb, tensor),
        ):
            ours = apply(
                *map(convert, (q, k, c, s)), None if ids is None else convert(ids), unsqueeze_dim
            )
            for mine, theirs in zip(ours, expected, strict=True):
                mine = array(mine) if isinstance(mine, torch.Tensor) else np.asarray(mine)
                assert compare(mine, array(theirs), 1.0, 0.0).ok and mine.dtype == DTYPES[dtype]


def _formula(x, cos, sin, unsqueeze_dim):
    cos, sin = (t.expand(2, *t.shape[-2:]).unsqueeze(unsqueeze_dim) for t in (cos, sin))
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def test_a_row_beyond_the_table_is_loud():
    q = np.ones((1, 1, 2, 4), np.float32)
    table, ids = np.ones((3, 4), np.float32), np.array([[2, 3]])
    ours = apply_rotary_pos_emb(*map(jnp.asarray, (q, q, table, table, ids)))[0]
    assert np.isnan(ours[0, 0]).all(axis=-1).tolist() == [False, True]
    with pytest.raises(IndexError):
        torch_apply_rotary_pos_emb(*map(tensor, (q, q, table, table, ids)))


@pytest.mark.unchecked
@pytest.mark.parametrize("width", [16, 64])
def test_a_table_of_another_width_fails(width):
    q, table = np.ones((1, 1, 2, 32), np.float32), np.ones((2, width), np.float32)
    for call, numpy in ((apply_rotary_pos_emb, jnp.asarray), (torch_apply_rotary_pos_emb, tensor)):
        with pytest.raises(
            ValueError,
            match=f"got cos of width {width} for x of width 32, expected a column for each channel",
        ):
            call(*map(numpy, (q, q, table, table)))


def test_heads_at_another_axis_fail():
    """`(B, S, N, H)` where `(B, N, S, H)` is said to be."""
    q, table = np.ones((1, 8, 3, 32), np.float32), np.ones((1, 8, 32), np.float32)
    shapes = r"got x of shape \(1, 8, 3, 32\), and cos of shape \(1, 1, 8, 32\)"
    message = shapes + r" .* unsqueeze_dim=1 for \(B, N, S, H\), 2 for"
    for call, numpy in ((apply_rotary_pos_emb, jnp.asarray), (torch_apply_rotary_pos_emb, tensor)):
        with pytest.raises(ValueError, match=message):
            call(*map(numpy, (q, q, table, table)))


def test_vmap_of_the_function(rng):
    q = jnp.asarray(rng.standard_normal((3, 2, 8, 32)), jnp.float32)
    cos, sin = (
        jnp.asarray(array(t)) for t in DeepseekV3RotaryEmbedding(32, 8)(torch.zeros(1, 1, 8, 32))
    )
    mapped = jax.vmap(lambda q: apply_rotary_pos_emb(q, q, cos, sin, unsqueeze_dim=0)[0])(q)
    assert compare(
        np.asarray(mapped), np.asarray(apply_rotary_pos_emb(q, q, cos, sin)[0]), 1.0, 0.0
    ).ok
