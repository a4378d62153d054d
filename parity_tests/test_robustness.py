"""Mutated configurations: a spec that transformers agrees with, or a ValueError or TypeError; and
unusual shapes and dtypes.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

import rope_jax
import rope_spec
import rope_torch
from parity_tests.broken_configs import KEYS, RULES, SCALING_KEYS
from rope_parity.backends import array, tensor
from rope_parity.cases import CONFIGS, Case, published
from rope_parity.constructed import SPECS
from rope_parity.measure import compare
from rope_parity.reference import Reference
from rope_spec import DynamicNTK, Llama3, inverse_frequencies, specs_from_config

PUBLISHED = [json.loads(path.read_text()) for path in sorted(CONFIGS.glob("*.json"))]
NUMBERS = [0.25, 0.5, 0.999, 1.0, 4.0, 8.0, 32.0, 1e4, 5e5, 8192, 131072]
NUMBERS += [float("inf"), float("nan"), 10**400]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.sampled_from(NUMBERS),
    st.sampled_from(RULES + ["llama", "qwen2", "phi3", "gemma3_text", "nonsense"]),
    st.lists(st.integers(0, 40), max_size=4),
    st.dictionaries(
        st.sampled_from(SCALING_KEYS),
        st.sampled_from([*RULES, 1.0, 4.0, 64, None, True]),
        max_size=4,
    ),
)


@st.composite
def mutated(draw):
    """A published configuration with a few keys dropped, changed or added, at the top or in an
    object within.
    """
    config = copy.deepcopy(draw(st.sampled_from(PUBLISHED)))
    for _ in range(draw(st.integers(1, 3))):
        objects = [config, *(value for value in config.values() if isinstance(value, dict))]
        target = draw(st.sampled_from(objects))
        key = draw(
            st.sampled_from(sorted({*target, *(KEYS if target is config else SCALING_KEYS)}))
        )
        if draw(st.booleans()) and key in target:
            del target[key]
        else:
            target[key] = draw(VALUES)
    return config


def theirs(config, spec, label):
    """transformers' inverse frequencies, or None where it refuses the configuration, or would go
    through 10 ** 400 layers.
    """
    text = config.get("text_config") or config
    if isinstance(text, dict) and str(text.get("num_hidden_layers"))[4:]:
        return None
    try:
        reference = Reference(config, spec, label)
        length = 4096 if spec.depends_on_length else 16
        return reference.inv_freq(Case("mutated", spec, length).positions())
    except Exception:  # whatever transformers makes of nonsense is its own affair
        return None


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(mutated())
def test_a_mutated_configuration_is_right_or_refused(config):
    try:
        specs = specs_from_config(config)
    except (ValueError, TypeError):
        return
    for label, spec in specs.items():
        if spec is not None:
            expected = theirs(config, spec, label)
            seq_len = 4096 if spec.depends_on_length else None
            ours = inverse_frequencies(spec, seq_len).inv_freq_float32
            if expected is not None:
                assert compare(ours, expected, np.abs(expected), amplified_ulps(spec.rule)).ok, (
                    label,
                    spec,
                )


def amplified_ulps(rule) -> float:
    """How far two float32 powers that agree to 1 ULP may lie apart after the rule, and 3 ULP for
    the other operations.

    Dynamic NTK takes a power twice. Llama-3's blend divides by at least 1 / factor what moves by
    high / (high - low) ULP.
    """
    amplification = 2.0 if isinstance(rule, DynamicNTK) else 1.0
    if isinstance(rule, Llama3):
        amplification += (
            rule.factor * rule.high_freq_factor / (rule.high_freq_factor - rule.low_freq_factor)
        )
    return (3 + amplification) * 2.0**-23


def test_inverse_frequencies_in_float32_are_those_of_transformers():
    """Over all published configurations: at least 98 % of the entries bit for bit, none beyond 1
    ULP.
    """
    equal, far = [], []
    for case in published():
        theirs = Reference(case.config, case.spec, case.label).inv_freq(case.positions())
        ours = inverse_frequencies(case.spec, case.seq_len).inv_freq_float32
        equal.append(ours == theirs)
        far.append(np.abs(ours.view(np.int32) - theirs.view(np.int32)).max())
    assert np.concatenate(equal).mean() >= 0.98 and max(far) <= 1


SPEC = SPECS["yarn, not truncated"]
SHAPES = {
    "one token": (2, 1, 3),
    "no tokens": (2, 0, 3),
    "no batch": (0, 8, 3),
    "one head": (1, 8, 1),
    "two batch axes": (2, 3, 8, 2),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes_and_dtypes_in_torch_and_numpy(shape, dtype, rng):
    """Every token by itself, through NumPy's float64 formula, within one rounding of the result in
    each dtype.
    """
    x = rng.standard_normal((*shape, 64))
    positions = rng.integers(-(2**31), 2**31, shape[:-1])
    cos, sin = (t[..., None, :].astype(np.float64) for t in rope_spec.cos_sin(SPEC, positions))
    a, b = x[..., :32], x[..., 32:]
    expected = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    table = rope_torch.cos_sin(SPEC, torch.tensor(positions))
    table = [t.double() for t in table] if dtype == "float64" else table
    y = rope_torch.rotate(SPEC, torch.tensor(x).to(getattr(torch, dtype)), *table, heads_axis=-2)
    eps = torch.finfo(getattr(torch, dtype)).eps
    assert y.shape == x.shape and y.dtype == getattr(torch, dtype)
    assert (
        np.abs(y.double().numpy() - expected) <= 3 * max(eps, 2.0**-53) * np.abs(x).max(initial=0)
    ).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes_in_jax_are_those_of_torch(shape, rng):
    x = rng.standard_normal((*shape, 64)).astype(np.float32)
    positions = rng.integers(-(2**31), 2**31, shape[:-1]).astype(np.int32)
    ours = rope_jax.rotate(SPEC, jnp.asarray(x), *rope_jax.cos_sin(SPEC, positions))
    theirs = rope_torch.rotate(
        SPEC, tensor(x), *rope_torch.cos_sin(SPEC, tensor(positions)), heads_axis=-2
    )
    assert ours.shape == x.shape
    if x.size:
        assert compare(np.asarray(ours), array(theirs), 1.0, 0.0).ok


X64 = """
import jax, jax.numpy as jnp, numpy as np, torch, rope_jax, rope_torch
from rope_parity.constructed import SPECS
from rope_parity.measure import compare
spec, rng = SPECS["yarn, not truncated"], np.random.default_rng(0)
positions = np.concatenate([rng.integers(-(2**62), 2**62, 8), rng.integers(0, 2**17, 8)])[None]
assert jnp.asarray(positions).dtype == jnp.int64
of_torch = rope_torch.cos_sin(spec, torch.tensor(positions))
tables = rope_jax.cos_sin(spec, positions), [t.numpy() for t in of_torch]
assert all(compare(np.asarray(a), b, 1.0, 0.0).ok for a, b in zip(*tables))
assert all(a.dtype == jnp.float32 for a in tables[0])
for dtype in ("float64", "float32", "bfloat16", "float16"):
    x = torch.tensor(rng.standard_normal((1, 16, 2, 64))).to(getattr(torch, dtype))
    table = [t.astype("float64" if dtype == "float64" else "float32") for t in tables[1]]
    theirs = rope_torch.rotate(spec, x, *map(torch.tensor, table), heads_axis=-2)
    ours = rope_jax.rotate(spec, jnp.asarray(x.double().numpy(), dtype), *map(jnp.asarray, table))
    assert str(ours.dtype) == dtype
    assert (np.asarray(ours, np.float64) == theirs.double().numpy()).all(), dtype
print("all equal")
"""


def test_x64():
    """With JAX_ENABLE_X64: int64 positions, far beyond int32, and float64 x, equal in both
    frameworks.
    """
    command = [sys.executable, "-c", X64]
    environment = {"JAX_ENABLE_X64": "1", "PATH": "", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parent.parent
    out = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env=environment, check=False
    )
    assert out.stdout == "all equal\n", out.stderr


def test_rows_of_a_batch_with_offsets_of_their_own(rng):
    """A batch with an offset for each row = each row by itself."""
    offsets = np.array([[0], [17], [100_000]], np.int32)
    positions = np.arange(6, dtype=np.int32) + offsets
    x = jnp.asarray(rng.standard_normal((3, 6, 2, 64)), jnp.float32)
    whole = rope_jax.rotate(SPEC, x, *rope_jax.cos_sin(SPEC, positions))
    rows = [rope_jax.rotate(SPEC, x[i], *rope_jax.cos_sin(SPEC, positions[i])) for i in range(3)]
    assert compare(np.asarray(whole), np.stack(jax.device_get(rows)), 1.0, 0.0).ok
