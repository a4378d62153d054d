"""KerasHub's rotary embedding, a layer and a function of Keras: what they are, and when wrong.

The backend is that of KERAS_BACKEND, JAX where it is not set.
"""

import os

import numpy as np
import pytest

from rope_parity import NotMeasured, check_rope, identify
from rope_spec import RopeSpec

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="Keras is not installed: make test-libraries")
layers = pytest.importorskip("keras_hub.layers", reason="KerasHub is not installed")
ops = keras.ops

SPEC = RopeSpec(head_dim=64)


def written(x, positions, theta=10000.0):
    inv_freq = ops.cast(theta ** (-np.arange(0, 64, 2) / 64), "float32")
    angle = ops.cast(positions[..., None, None], "float32") * inv_freq
    cos, sin = ops.cos(angle), ops.sin(angle)
    a, b = ops.cast(x[..., :32], "float32"), ops.cast(x[..., 32:], "float32")
    return ops.cast(ops.concatenate([a * cos - b * sin, b * cos + a * sin], -1), x.dtype)


class Rotary(keras.layers.Layer):
    def call(self, x, positions):
        return written(x, positions)


def hub(theta=10000.0):
    rotary = layers.RotaryEmbedding(max_wavelength=theta)
    return lambda x, positions: rotary(x, positions=positions)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_function_of_keras(dtype):
    assert check_rope(written, SPEC, dtype=dtype).right
    wrong = lambda x, positions: written(x, positions, 5e5)
    assert check_rope(wrong, SPEC, dtype=dtype).names == ("theta",)


@pytest.mark.parametrize("make", [Rotary, hub])
def test_a_layer_is_right_and_its_policy_is_no_fault(make):
    """A layer casts x to the dtype of its policy, float32 here: that is said, and is not wrong."""
    verdict = check_rope(make, SPEC, factory=True)
    assert verdict.right and "a layer of Keras casts it to float32" in " ".join(
        verdict.text.split()
    )


def test_the_layer_of_keras_hub_is_what_it_says():
    assert identify(hub(), 64).spec == SPEC
    assert check_rope(hub(5e5), SPEC).names == ("theta",)
    rotary = layers.RotaryEmbedding()
    in_order = lambda x, positions: rotary(x, start_index=int(positions[0, 0]))
    assert check_rope(in_order, SPEC, positions="contiguous").right


def test_a_device():
    assert check_rope(written, SPEC, device="cpu:0").right
    with pytest.raises(NotMeasured, match="No float32 array of keras could be made on device='gpu"):
        check_rope(written, SPEC, framework="keras", device="gpu:7")
