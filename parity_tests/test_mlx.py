"""MLX's own rotary embeddings, and one that is written in MLX: what they are, and when wrong."""

from functools import partial

import pytest

from rope_parity import NotMeasured, check_rope, identify
from rope_spec import RopeSpec

mx = pytest.importorskip("mlx.core", reason="MLX is not installed: make test-libraries")
nn = pytest.importorskip("mlx.nn")

IN_ORDER = {"layout": "BNSH", "positions": "contiguous"}
DTYPES = ("float32", "bfloat16", "float16")


def spec_of(traditional, theta=10000.0):
    """What MLX calls traditional: neighbours are a pair."""
    return RopeSpec(head_dim=64, theta=theta, read="interleaved" if traditional else "half")


def fast(x, positions, traditional):
    offset = int(positions[0, 0])
    return mx.fast.rope(x, 64, traditional=traditional, base=10000.0, scale=1.0, offset=offset)


def module(traditional):
    rope = nn.RoPE(64, traditional=traditional)
    return lambda x, positions: rope(x, offset=int(positions[0, 0]))


def written(x, positions, theta=10000.0):
    angle = positions[..., None, None].astype(mx.float32) * theta ** (-mx.arange(0, 64, 2) / 64)
    cos, sin = mx.cos(angle), mx.sin(angle)
    a, b = x[..., :32].astype(mx.float32), x[..., 32:].astype(mx.float32)
    return mx.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)


@pytest.mark.parametrize("traditional", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_their_own_are_right(traditional, dtype):
    spec, given = spec_of(traditional), {**IN_ORDER, "dtype": dtype}
    assert check_rope(partial(fast, traditional=traditional), spec, **given).right
    assert check_rope(lambda: module(traditional), spec, factory=True, **given).right


@pytest.mark.parametrize("traditional", [False, True])
def test_their_own_are_what_they_say(traditional):
    fn = partial(fast, traditional=traditional)
    assert identify(fn, 64, **IN_ORDER).spec == spec_of(traditional)
    assert check_rope(fn, spec_of(not traditional), **IN_ORDER).names == ("layout_read",)
    assert check_rope(fn, spec_of(traditional, 5e5), **IN_ORDER).names == ("theta",)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_that_is_written_in_mlx(dtype):
    for fn in (written, mx.compile(written)):
        assert check_rope(fn, spec_of(False), dtype=dtype).right
    wrong = lambda x, positions: written(x, positions, 5e5)
    assert check_rope(wrong, spec_of(False), dtype=dtype).names == ("theta",)


def test_its_arrays_are_on_no_device():
    with pytest.raises(NotMeasured, match="arrays of mlx are on no device. Leave device= out"):
        check_rope(written, spec_of(False), framework="mlx", device="gpu")
