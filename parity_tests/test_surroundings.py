"""Where eager torch is called from changes no bit: its defaults, its modes, and its tracers."""

from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import rope_torch
from rope_parity.backends import tensor
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES
from rope_torch.rotation import rotate_pairs


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


WITHIN = {
    "default dtype": lambda: default_dtype(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "dispatch mode": lambda: FlopCounterMode(display=False),
}
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
NAMES = ["half", "interleaved", "de-interleave", "interleave"]
EACH_LAYOUT = pytest.mark.parametrize("name", NAMES)


def case(name, dtype, rng):
    """A rotation as a function of x, an x that is large enough for chunks, and the right result."""
    spec, x = LAYOUTS[name], tensor(rng.standard_normal((1, 16, 512, 64)).astype(DTYPES[dtype]))
    cos, sin = rope_torch.cos_sin(spec, torch.arange(512)[None])
    y = rotate_pairs(x, cos[:, None], sin[:, None], spec.channels, "float32")
    return lambda x: rope_torch.rotate(spec, x, cos, sin), x, y


@pytest.mark.parametrize("within", WITHIN.values(), ids=WITHIN)
@EACH_DTYPE
@EACH_LAYOUT
def test_defaults_and_modes(name, dtype, within, rng):
    """Models are often run under another default dtype or device than that of their tensors."""
    rotate, x, y = case(name, dtype, rng)
    with within():
        ours = rotate(x)
    assert torch.equal(ours, y) and (ours.dtype, ours.device) == (y.dtype, y.device)


@EACH_DTYPE
@EACH_LAYOUT
def test_who_follows_the_operations_sees_the_formula(name, dtype, rng):
    """A tracer, a tensor without values, and a subclass of torch.Tensor."""
    rotate, x, y = case(name, dtype, rng)
    graph = make_fx(rotate)(x)
    assert torch.equal(graph(x), y)
    assert not [node for node in graph.graph.nodes if "out" in node.kwargs]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = rotate(mode.from_tensor(x))
    assert (fake.shape, fake.dtype) == (y.shape, y.dtype)
    ours = rotate(x.as_subclass(type("Tagged", (torch.Tensor,), {})))
    assert torch.equal(ours.as_subclass(torch.Tensor), y) and type(ours).__name__ == "Tagged"
