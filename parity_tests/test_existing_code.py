"""Inside JAX code that is there already: nnx.jit, nnx.scan, checkpoint, export, optax, Orbax; each
equal to the plain call.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import export

import rope_jax
from parity_tests.same import same_bytes
from rope_jax.nnx import RopeTable, RotaryEmbedding
from rope_parity.constructed import SPECS

SPEC, WIDTH, HEADS, LAYERS = SPECS["half"], 32, 2, 3


class Layer(nnx.Module):
    """Attention with a residual."""

    def __init__(self, rngs):
        self.qkv = nnx.LinearGeneral(WIDTH, (3, HEADS, SPEC.head_dim), rngs=rngs)
        self.out = nnx.LinearGeneral((HEADS, SPEC.head_dim), WIDTH, axis=(-2, -1), rngs=rngs)
        self.rope = RotaryEmbedding(SPEC)

    def __call__(self, x):
        q, k, v = jnp.moveaxis(self.qkv(x), -3, 0)
        positions = jnp.arange(x.shape[1])[None]
        return x + self.out(
            nnx.dot_product_attention(self.rope(q, positions), self.rope(k, positions), v)
        )


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((2, 8, WIDTH)), jnp.float32)


@nnx.split_rngs(splits=LAYERS)
@nnx.vmap(in_axes=(0,), out_axes=0)
def stacked(rngs):
    return Layer(rngs)


@nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
def scanned(x, layer):
    return layer(x)


def one_after_the_other(x, layers):
    graph, state = nnx.split(layers)
    for index in range(LAYERS):
        x = nnx.merge(graph, jax.tree.map(lambda leaf, index=index: leaf[index], state))(x)
    return x


def test_nnx_jit_and_scan_over_layers(x):
    layers = stacked(nnx.Rngs(0))
    expected = nnx.jit(one_after_the_other)(x, layers)
    assert np.allclose(
        nnx.jit(scanned)(x, layers),
        expected,
        rtol=0,
        atol=16 * np.finfo(np.float32).eps * np.abs(expected).max(),
    )


def test_the_rotation_itself_in_a_scan(rng):
    keys = jnp.asarray(rng.standard_normal((LAYERS, 2, 8, HEADS, SPEC.head_dim)), jnp.bfloat16)
    table = rope_jax.cos_sin(SPEC, jnp.arange(8)[None])
    scan = jax.lax.scan(lambda carry, key: (carry, rope_jax.rotate(SPEC, key, *table)), 0, keys)[1]
    assert all(
        same_bytes(y, rope_jax.rotate(SPEC, key, *table)) for y, key in zip(scan, keys, strict=True)
    )


def test_checkpoint(x):
    """Recomputed in the backward pass, the gradient has the same bits."""
    q = x.reshape(2, 8, 1, WIDTH).repeat(2, -1)
    loss = lambda q: (
        rope_jax.rotate(SPEC, q, *rope_jax.cos_sin(SPEC, jnp.arange(8)[None])) ** 2
    ).sum()
    assert same_bytes(jax.jit(jax.grad(jax.checkpoint(loss)))(q), jax.jit(jax.grad(loss))(q))


@pytest.mark.unchecked  # its shapes hold symbols
@pytest.mark.parametrize("platforms", [["cpu"], ["cpu", "cuda", "tpu"]])
def test_export_round_trip(rng, platforms):
    """Serialized and read back, for one platform or several; with a symbolic length."""
    step = jax.jit(lambda x, p: rope_jax.rotate(SPEC, x, *rope_jax.cos_sin(SPEC, p)))
    batch, length = export.symbolic_shape("b, s")
    shapes = [
        jax.ShapeDtypeStruct((batch, length, HEADS, SPEC.head_dim), jnp.bfloat16),
        jax.ShapeDtypeStruct((batch, length), jnp.int32),
    ]
    read_back = export.deserialize(export.export(step, platforms=platforms)(*shapes).serialize())
    x = jnp.asarray(rng.standard_normal((2, 9, HEADS, SPEC.head_dim)), jnp.bfloat16)
    positions = jnp.asarray(rng.integers(-(2**31), 2**31, (2, 9)), jnp.int32)
    assert same_bytes(read_back.call(x, positions), step(x, positions))


def test_training_with_optax(x):
    """A few steps learn to repeat the input shifted by one; the rotary embedding has no
    parameters.
    """
    model, target = Layer(nnx.Rngs(0)), jnp.roll(x, 1, axis=1)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @jax.numpy_dtype_promotion("standard")  # optax promotes
    @nnx.jit
    def step(model, optimizer):
        loss, gradients = nnx.value_and_grad(lambda model: ((model(x) - target) ** 2).mean())(model)
        optimizer.update(model, gradients)
        return loss

    losses = [float(step(model, optimizer)) for _ in range(30)]
    assert losses[-1] < losses[0] / 2
    assert not jax.tree.leaves(nnx.state(model.rope))


def test_an_orbax_checkpoint_without_the_table(tmp_path, x):
    """Parameters are saved by their type; a table is none, and the model that reads them may keep
    another one.
    """
    model = Layer(nnx.Rngs(0))
    model.rope = RotaryEmbedding(SPEC, strategy="doubling", length=8)
    parameters, tables, _ = nnx.split_state(nnx.state(model), nnx.Param, RopeTable, ...)
    assert len(jax.tree.leaves(tables)) == 2
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", nnx.to_pure_dict(parameters))
    other = Layer(nnx.Rngs(1))
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(
            tmp_path / "model", nnx.to_pure_dict(nnx.state(other, nnx.Param))
        )
    state = nnx.state(other, nnx.Param)
    nnx.replace_by_pure_dict(state, found)
    nnx.update(other, state)
    assert same_bytes(other(x), model(x))
