"""`check_rope` against functions that were planted before it was built, and what it says.

A part of them by default; all with FULL=1 in the environment.
"""

import os
from importlib import import_module

import numpy as np
import pytest

from parity_tests.planted import PAIRS, SINGLE, right
from rope_parity import check_rope, identify, testing
from rope_parity.constructed import SPECS
from rope_parity.identification.probe import MOST_CALLS
from rope_spec import inverse_frequencies, spec_from_config

FULL = bool(os.environ.get("FULL"))
PART = slice(None) if FULL else slice(1, None, 15)
RIGHT = range(400) if FULL else range(0, 400, 80)
NAMED = {"single": (59, 60), "pairs": (54, 60)}  # of those that were planted


def judged(case):
    """The verdict on a planted case, from what its author would hand over."""
    return check_rope(
        case.factory,
        case.config,
        layout=case.layout,
        label=case.label,
        context=case.context,
        dtype=case.dtype,
        factory=True,
        framework=case.framework,
    )


@pytest.mark.parametrize("kind, cases", [("single", SINGLE), ("pairs", PAIRS)], ids=NAMED)
def test_what_was_planted_is_named(kind, cases):
    verdicts = [(case, judged(case)) for case in cases[PART]]
    missed = [(case.name, v.names) for case, v in verdicts if not case.is_named_by(v.names)]
    least, of = NAMED[kind]
    assert len(missed) <= (of - least) * len(verdicts) / of, missed
    for case, verdict in verdicts:
        assert verdict.found.evidence.calls <= MOST_CALLS
        assert case.hidden <= {*verdict.names, *verdict.hidden}, case.name
        assert max(map(len, verdict.text.splitlines())) <= 80, verdict.text


@pytest.mark.parametrize("seed", RIGHT)
def test_no_right_function_is_called_wrong(seed):
    verdict = judged(right(seed))
    assert verdict.right, verdict.text


def exact_rotation(spec, x, positions, number=np.float32):
    """A rope of the tests, by complex numbers and an index for each channel."""
    w = inverse_frequencies(spec, int(positions.max()) + 1 if spec.depends_on_length else None)
    pairs = np.arange(2 * len(spec.pairs))
    order = {
        "half": lambda: pairs.reshape(2, -1).T,
        "interleaved": lambda: pairs.reshape(-1, 2),
        "half_per_axis": lambda: (
            pairs.reshape(spec.pairs.axes, 2, -1).transpose(0, 2, 1).reshape(-1, 2)
        ),
    }
    read, write = (spec.start + order[layout]() for layout in (spec.read, spec.write or spec.read))
    each = positions[..., list(spec.pairs.axis)] if spec.pairs.axes > 1 else positions[..., None]
    angle = (each.astype(number) * w.inv_freq.astype(number))[:, :, None]
    z = (x[..., read[:, 0]] + 1j * x[..., read[:, 1]]) * np.exp(1j * spec.sign * angle)
    y = x.copy()
    y[..., write[:, 0]], y[..., write[:, 1]] = (
        w.attention_factor * part for part in (z.real, z.imag)
    )
    return y


SHORT = {name: spec for name, spec in SPECS.items() if spec.rule is None or FULL}


@pytest.mark.parametrize("name", SHORT)
def test_frequencies_agree_to_3e_7(name):
    """The implementation's own are float32; pairs that stand still are no pairs."""
    spec = SPECS[name]
    found = identify(
        lambda x, positions: exact_rotation(spec, x, positions),
        spec.head_dim,
        axes=spec.pairs.axes,
        context=8192,
    )
    length = 8192 if spec.depends_on_length else None
    own = spec.sign * inverse_frequencies(spec, length).inv_freq.astype(np.float32)
    assert np.allclose(found.evidence.inv_freq.sum(1), own[own != 0], rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision_the_uncertainty_covers_the_truth(dtype):
    import ml_dtypes

    kind = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
    for name in ("half", "interleaved", "yarn", "llama3", "linear"):
        spec = SPECS[name]

        def fn(x, positions, spec=spec):
            return exact_rotation(spec, x.astype(np.float32), positions).astype(kind)

        found = identify(fn, spec.head_dim, context=32768, dtype=dtype, framework="numpy")
        miss = np.abs(found.evidence.inv_freq.sum(1) - inverse_frequencies(spec).inv_freq)
        assert (miss <= found.evidence.uncertainty.max(1)).all(), name


def test_the_spec_that_was_found_rotates_alike():
    """At every length, so that a rule that depends on it is left out: it is read at the longest."""
    for spec in (s for s in SHORT.values() if s.pairs.axes == 1 and not s.depends_on_length):
        fn = lambda x, positions, spec=spec: exact_rotation(spec, x, positions)
        found = identify(fn, spec.head_dim).spec
        assert found is not None and check_rope(fn, found, context=4096).right


def test_an_assertion_error_is_the_diagnosis():
    wrong = SPECS["half"]
    with pytest.raises(AssertionError, match="theta is 10000, the config says 500000"):
        testing.check_rope(lambda x, p: exact_rotation(wrong, x, p), SPECS["default"])
    assert testing.check_rope(lambda x, p: exact_rotation(wrong, x, p), wrong).right


def test_an_option_that_there_is_not():
    fn, spec = lambda x, positions: x, SPECS["half"]
    for call in (
        lambda: check_rope(fn, spec, layot="SH"),
        lambda: testing.check_rope(fn, spec, layot="SH"),
        lambda: identify(fn, spec.head_dim, layot="SH"),
    ):
        with pytest.raises(TypeError, match="options: got layot, expected some of layout, context"):
            call()


def test_normal_float32_angles_are_called_normal_with_their_size():
    spec = SPECS["half"]
    verdict = check_rope(lambda x, p: exact_rotation(spec, x, p), spec, context=131072)
    said = " ".join(verdict.text.split())
    assert verdict.right and "Angles are float32" in said and "that is normal" in said
    assert 1e-4 < verdict.angle_error < 131072 * 2.0**-23


def test_nan_from_a_row_on_is_a_finding():
    def fn(x, positions):
        y = exact_rotation(SPECS["half"], x, positions)
        y[positions >= 3000] = np.nan
        return y

    (finding,) = check_rope(fn, SPECS["half"]).findings
    assert (finding.name, finding.departure.how, finding.departure.found) == (
        "table_ends",
        "nan",
        3000,
    )
    assert "A table of 3000 rows: later positions come out as NaN." in finding.text


def test_the_rows_of_a_table_that_clamps_are_counted():
    spec = SPECS["half"]
    (finding,) = check_rope(
        lambda x, positions: exact_rotation(spec, x, np.minimum(positions, 2999)), spec
    ).findings
    assert "A table of 3000 rows: every later position is given row 2999." in finding.text


LLAMA = spec_from_config("rope_parity/configs/llama-3.1-8b.json")


def ours(branch):
    """The rotation of a branch, as a function of x and positions."""
    module = import_module(branch)

    def fn(x, positions):
        cos, sin = module.cos_sin(LLAMA, positions)
        return module.rotate(LLAMA, x, cos, sin, heads_axis=-2)

    return fn


def test_ours_in_both_branches():
    import jax

    for fn in (ours("rope_torch"), ours("rope_jax"), jax.jit(ours("rope_jax"))):
        assert check_rope(fn, LLAMA, context=131072).right


@pytest.mark.compiled
def test_ours_compiled():
    import torch

    compiled = torch.compile(ours("rope_torch"), backend="eager")
    assert check_rope(compiled, LLAMA, context=131072, framework="torch").right
