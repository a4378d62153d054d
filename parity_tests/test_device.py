"""On every device that both frameworks see: the bytes of NumPy and of the formula on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_spec
import rope_torch
from rope_parity.backends import Jax, Torch, array, devices
from rope_parity.cases import Case
from rope_parity.constructed import LAYOUTS, SPECS
from rope_parity.measure import DTYPES, compare
from rope_spec import Arithmetic

WITHOUT_GPU = pytest.mark.skipif(
    "gpu" not in devices(), reason="no GPU that both jax and torch see"
)
DEVICES = ["cpu", pytest.param("gpu", marks=WITHOUT_GPU)]
EXACT = Arithmetic()


def branches(device: str) -> tuple[Jax, Jax, Torch]:
    return Jax("eager", device), Jax("jit", device), Torch(device)


def same_bytes(left, right) -> bool:
    return left.dtype == right.dtype and compare(left, right, 1.0, 0.0).ok


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_cos_and_sin_are_those_of_numpy(spec, device):
    positions = Case("constructed", spec, 4096).positions(beyond=True)
    host = np.stack(rope_spec.cos_sin(spec, positions))
    for branch in branches(device):
        assert same_bytes(np.stack(branch.cos_sin(spec, positions, None, EXACT)), host), branch.name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_rotation_and_gradient_are_those_of_a_cpu(spec, dtype, rotate_in, device):
    case, arithmetic = Case("constructed", spec, 64), Arithmetic(rotate_in=rotate_in)
    x, ct = case.x(DTYPES[dtype]), case.x(DTYPES[dtype], seed=1)
    cpu = Torch("cpu")
    table = cpu.cos_sin(spec, case.positions(), None, EXACT)
    y, dx = (
        f(table, spec, arithmetic)
        for f in (lambda *a: cpu.rotate(x, *a), lambda *a: cpu.gradient(x, ct, *a))
    )
    for branch in branches(device):
        assert same_bytes(branch.rotate(x, table, spec, arithmetic), y), (branch.name, branch.mode)
        assert same_bytes(branch.gradient(x, ct, table, spec, arithmetic), dx), (
            branch.name,
            branch.mode,
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("strategy", ["lazy", "doubling", "fixed", "split_table", "table_free"])
def test_tables_are_those_of_a_cpu_and_end_in_nan(strategy, device):
    """A position beyond a table of rows is NaN on the device; jitted, since values are not read
    back from there.
    """
    spec, positions = SPECS["llama3"], np.arange(4090, 4100, dtype=np.int32)[None]
    serves_all = strategy == "table_free"
    capacity = rope_torch.init_cache(spec, strategy, 4096).capacity
    inside = np.broadcast_to(serves_all | (positions < capacity), positions.shape)[..., None]
    reference = rope_torch.lookup(
        rope_torch.init_cache(spec, strategy, 8192), torch.from_numpy(positions)
    )
    expected = np.where(inside, array(torch.stack(reference)), np.float32(np.nan))
    on = "cuda" if device == "gpu" else device
    tables = rope_torch.init_cache(spec, strategy, 4096, device=on)
    clamped = rope_torch.lookup(tables, torch.from_numpy(positions).to(on), out_of_range="clamp")
    assert same_bytes(np.where(inside, array(torch.stack(clamped)), np.float32(np.nan)), expected)
    with jax.default_device(jax.devices(device)[0]):
        cache = rope_jax.init_cache(spec, strategy, 4096)
        found = jax.jit(lambda cache, p: jnp.stack(rope_jax.lookup(cache, p)))(
            cache, jnp.asarray(positions)
        )
    assert same_bytes(np.asarray(found), expected)
    if device == "gpu":
        assert same_bytes(
            array(torch.stack(rope_torch.lookup(tables, torch.from_numpy(positions).to(on)))),
            expected,
        )


@pytest.mark.parametrize("device", DEVICES)
def test_a_module_that_was_moved_and_cast(device):
    """Its integers survive `.to(device)` and `.half()`."""
    spec, positions = SPECS["yarn"], torch.arange(100_000, 100_016)[None]
    x = torch.randn(1, 2, 16, 64, generator=torch.Generator().manual_seed(0)).half()
    here = rope_torch.RotaryEmbedding(spec)(x, positions)
    on = "cuda" if device == "gpu" else device
    there = rope_torch.RotaryEmbedding(spec).half().to(on)(x.to(on), positions.to(on))
    assert same_bytes(array(there), array(here))
