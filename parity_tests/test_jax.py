"""rope_jax by itself, without torch: the trunk's bits, every road of JAX, the derivative, and its
errors.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rope_jax
import rope_spec
from parity_tests.same import same_bytes
from rope_parity.constructed import SPECS
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic

POSITIONS = np.array(
    [[0, 1, -1, 2**31 - 1, -(2**31), 131071, 12345, 7], [5, 6, 7, 8, 9, 10, 11, 12]], np.int32
)
ARITHMETICS = [Arithmetic(rotate_in="float32"), Arithmetic(rotate_in="input")]


def queries(rng, spec, dtype):
    return jnp.asarray(rng.standard_normal((2, 8, 3, spec.head_dim)).astype(DTYPES[dtype]))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_cos_and_sin_have_the_bits_of_the_trunk(spec):
    positions = (
        POSITIONS
        if spec.pairs.axes == 1
        else np.stack([POSITIONS, POSITIONS[:, ::-1], POSITIONS // 2], -1)
    )
    positions = positions[..., : spec.pairs.axes] if spec.pairs.axes > 1 else positions
    tables = rope_spec.cos_sin(spec, positions, seq_len=8)
    cos_sin = partial(rope_jax.cos_sin, spec, seq_len=8)
    with jax.disable_jit():
        eager = cos_sin(positions)
    for road in (eager, cos_sin(positions), jax.jit(cos_sin)(positions)):
        assert all(same_bytes(ours, trunk) for ours, trunk in zip(road, tables, strict=True))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_caller_may_forbid_rank_promotion(spec, rng):
    """In a program that lets no array gain axes silently every function still does the same."""
    axes, caches = spec.pairs.axes, [] if spec.depends_on_length else ["fixed", "split_table"]
    positions = jnp.asarray(rng.integers(0, 64, (2, 8) if axes == 1 else (2, 8, axes)), jnp.int32)

    def everything(positions, x, length):
        table = rope_jax.cos_sin(spec, positions, seq_len=length)
        y, pullback = jax.vjp(lambda x: rope_jax.rotate(spec, x, *table), x)
        found = [
            rope_jax.lookup(rope_jax.init_cache(spec, strategy, 64), positions)[0]
            for strategy in caches
        ]
        return (
            *table,
            y,
            *pullback(y),
            rope_jax.rerotate(spec, y, positions, positions + 1, seq_len=8),
            *found,
        )

    arguments = positions, queries(rng, spec, "bfloat16"), jnp.int32(5000)
    expected = jax.jit(everything)(*arguments)
    with jax.numpy_rank_promotion("raise"):
        found = jax.jit(everything)(*arguments)
    assert all(map(same_bytes, found, expected))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_every_integer_dtype_of_positions(dtype):
    positions = np.array([0, 1, 100, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    ours, trunk = (
        rope_jax.cos_sin(SPECS["llama3"], positions),
        rope_spec.cos_sin(SPECS["llama3"], positions),
    )
    assert same_bytes(ours[0], trunk[0]) and same_bytes(ours[1], trunk[1])


@pytest.mark.parametrize("arithmetic", ARITHMETICS, ids=lambda a: a.rotate_in)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "spec", [SPECS["half"], SPECS["de-interleave"], SPECS["first quarter"], SPECS["negative sign"]]
)
def test_every_road_has_the_same_bits(spec, dtype, arithmetic, rng):
    """eager = jit = vmap = scan = checkpoint = tables closed over = fused with neighbours."""
    x, (cos, sin) = queries(rng, spec, dtype), rope_jax.cos_sin(spec, POSITIONS)
    rotate = lambda x, cos, sin: rope_jax.rotate(spec, x, cos, sin, arithmetic=arithmetic)
    with jax.disable_jit():
        expected = rotate(x, cos, sin)
    by_head = lambda x, cos, sin: rope_jax.rotate(
        spec, x, cos, sin, heads_axis=None, arithmetic=arithmetic
    )
    two = jnp.asarray(2, x.dtype)
    roads = {
        "jit": jax.jit(rotate)(x, cos, sin),
        "closed over": jax.jit(lambda x: rotate(x, cos, sin))(x),
        "vmap over the batch": jax.vmap(rotate)(x, cos, sin),
        "vmap over heads": jax.vmap(by_head, in_axes=(2, None, None), out_axes=2)(x, cos, sin),
        "scan": jax.lax.scan(lambda _, xcs: (None, rotate(*xcs)), None, (x, cos, sin))[1],
        "checkpoint": jax.jit(jax.checkpoint(rotate))(x, cos, sin),
        "fused": jax.jit(lambda x, cos, sin: rotate(x * two, cos, sin) / two)(x, cos, sin),
        "positions inside": jax.jit(lambda x, p: rotate(x, *rope_jax.cos_sin(spec, p)))(
            x, POSITIONS
        ),
    }
    assert [name for name, road in roads.items() if not same_bytes(road, expected)] == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "spec", [SPECS["half"], SPECS["de-interleave"], SPECS["first quarter"], SPECS["negative sign"]]
)
def test_the_derivative_is_the_rotation_by_the_negative_angle(spec, dtype, rng):
    x, dx, ct = (queries(rng, spec, dtype) for _ in range(3))
    cos, sin = rope_jax.cos_sin(spec, POSITIONS)
    rotate = lambda x: rope_jax.rotate(spec, x, cos, sin)
    backwards = rope_spec.RopeSpec(
        head_dim=spec.head_dim,
        theta=spec.theta,
        pairs=spec.pairs,
        read=spec.written,
        write=spec.read,
        start=spec.start,
        sign=-spec.sign,
    )
    expected = rope_jax.rotate(backwards, ct, cos, sin)
    assert same_bytes(jax.vjp(rotate, x)[1](ct)[0], expected)
    assert same_bytes(jax.jit(lambda x, ct: jax.vjp(rotate, x)[1](ct)[0])(x, ct), expected)
    assert same_bytes(jax.linear_transpose(rotate, x)(ct)[0], expected)
    assert same_bytes(jax.vmap(lambda ct: jax.vjp(rotate, x)[1](ct)[0])(ct[None])[0], expected)
    assert same_bytes(jax.jvp(rotate, (x,), (dx,))[1], rotate(dx))
    energy = lambda x: 0.5 * jnp.sum(rotate(x).astype(jnp.float32) ** 2)
    hessian_vector = jax.jvp(jax.grad(energy), (x,), (dx,))[1]
    assert same_bytes(hessian_vector, jax.vjp(rotate, x)[1](rotate(dx))[0])


def test_cos_and_sin_can_be_learned(rng):
    """The derivative for cos and sin, which the primitive leaves to plain operations, against the
    sums it stands for.
    """
    spec = SPECS["de-interleave"]
    x, ct = queries(rng, spec, "float32"), queries(rng, spec, "float32")
    tables = rope_jax.cos_sin(spec, POSITIONS)
    dcos, dsin = jax.vjp(lambda c, s: rope_jax.rotate(spec, x, c, s), *tables)[1](ct)
    (a, b), (to_a, to_b) = (x[..., 0::2], x[..., 1::2]), (ct[..., :32], ct[..., 32:])
    bound = (
        3 * 2 * np.finfo(np.float32).eps * (np.abs(x).max() * np.abs(ct).max()) * 2
    )  # 6 products, 5 sums
    assert np.abs(dcos - (a * to_a + b * to_b).sum(2)).max() <= bound
    assert np.abs(dsin - (a * to_b - b * to_a).sum(2)).max() <= bound


def test_x_of_a_weak_type_keeps_its_dtype():
    """What is rotated is float32 beside bfloat16 too, where a weak type would give way."""
    spec = SPECS["half"]
    x = jnp.broadcast_to(jnp.asarray(1.0), (1, 1, 2, spec.head_dim))
    table = rope_jax.cos_sin(spec, jnp.zeros((1, 1), jnp.int32))
    rotate = lambda x: rope_jax.rotate(spec, x, *table)
    assert x.weak_type and not rotate(x).weak_type and not jax.jit(rotate)(x).weak_type


def test_nothing_but_the_table_is_kept_for_the_backward_pass(rng):
    spec = SPECS["half"]
    x, (cos, sin) = queries(rng, spec, "float32"), rope_jax.cos_sin(spec, POSITIONS)
    pullback = jax.vjp(lambda x: rope_jax.rotate(spec, x, cos, sin), x)[1]
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(pullback)) <= 2 * (cos.nbytes + sin.nbytes)


def test_a_second_call_compiles_nothing(rng):
    spec = SPECS["half"]
    x = queries(rng, spec, "float32")
    rope_jax.rotate(spec, x, *rope_jax.cos_sin(spec, POSITIONS))
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "jax._src.compiler.compile_or_get_cached", lambda *a, **k: pytest.fail("compiled")
        )
        rope_jax.rotate(spec, x, *rope_jax.cos_sin(spec, POSITIONS + 1))


HALF = SPECS["half"]
X, TABLE = jnp.zeros((2, 8, 3, 64)), rope_jax.cos_sin(HALF, POSITIONS)
BAD = {
    "integer x": (
        lambda: rope_jax.rotate(HALF, X.astype(jnp.int32), *TABLE),
        TypeError,
        "got x of dtype int32",
    ),
    "width": (
        lambda: rope_jax.rotate(HALF, X[..., :32], *TABLE),
        ValueError,
        r"shape \(2, 8, 3, 32\).*head_dim=64",
    ),
    "table width": (
        lambda: rope_jax.rotate(HALF, X, X[..., 0, :], X[..., 0, :]),
        ValueError,
        r"expected both \(..., S, 32\)",
    ),
    "cos unlike sin": (
        lambda: rope_jax.rotate(HALF, X, TABLE[0], TABLE[1][:1]),
        ValueError,
        r"got cos of shape \(2, 8, 32\)",
    ),
    "heads axis": (
        lambda: rope_jax.rotate(HALF, X.swapaxes(1, 2), *TABLE),
        ValueError,
        r"tokens of shape \(2, 3\), but cos for \(2, 8\). Expected a row for each token. Name the",
    ),
    "rank": (
        lambda: rope_jax.rotate(HALF, X[0, 0, 0], *TABLE),
        ValueError,
        r"got heads_axis=-2 for x of shape \(64,\), expected an axis before",
    ),
    "float positions": (
        lambda: rope_jax.cos_sin(HALF, jnp.zeros(3)),
        TypeError,
        "positions: got float32, expected integers",
    ),
    "beyond int32": (
        lambda: rope_jax.cos_sin(HALF, np.array([2**31])),
        ValueError,
        "got 2147483648 to 2147483648, expected numbers that int32 holds",
    ),
    "below int32": (
        lambda: rope_jax.cos_sin(HALF, np.array([-(2**31) - 1])),
        ValueError,
        "got -2147483649 to -2147483649, expected numbers that int32 holds",
    ),
    "a length beyond int32": (
        lambda: rope_jax.cos_sin(SPECS["dynamic"], POSITIONS, seq_len=np.array([2**40])),
        ValueError,
        "seq_len: got 1099511627776 to 1099511627776, expected numbers that int32 holds",
    ),
    "length": (
        lambda: rope_jax.cos_sin(SPECS["dynamic"], POSITIONS, seq_len=jnp.float32(8)),
        TypeError,
        "seq_len: got float32, expected integers",
    ),
    "heads of a full-width table": (
        lambda: rope_jax.apply_rotary_pos_emb(X, X, *[jnp.zeros((2, 8, 64))] * 2),
        ValueError,
        r"x of shape \(2, 8, 3, 64\), and cos of shape \(2, 1, 8, 64\) .* unsqueeze_dim=1 for",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
