"""Every example of docs/referee.md, with functions of each shape: right ones, and wrong ones."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rope_parity import check_rope, from_tables, identify
from rope_spec import RopeSpec

TEXT = (Path(__file__).parent.parent / "docs" / "referee.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
CONFIG = RopeSpec(head_dim=128)


def functions(theta):
    """The functions that the examples name, in NumPy, and a module of torch."""
    inv_freq = (theta ** (-np.arange(0, 128, 2) / 128)).astype(np.float32)

    def angles(positions):
        return positions[..., None].astype(np.float32) * inv_freq

    def rope_sh(x, positions):
        cos, sin = np.cos(angles(positions)), np.sin(angles(positions))
        a, b = x[..., :64].astype(np.float32), x[..., 64:].astype(np.float32)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)

    def rope(x, positions):
        return np.swapaxes(rope_sh(np.swapaxes(x, 1, 2), positions[:, None]), 1, 2)

    def rope_flat(x, positions):
        heads = x.reshape(len(x), -1, 128)
        return rope(heads[None], positions[None])[0].reshape(x.shape)

    return {
        "rope": rope,
        "rope_bnsh": lambda x, positions: rope_sh(x, positions[:, None]),
        "rope_sh": rope_sh,
        "rope_flat": rope_flat,
        "rope_qk": lambda q, k, positions: (rope(q, positions), rope(k, positions)),
        "rope_from": lambda x, offset: rope(x, offset + np.arange(x.shape[1])[None]),
        "rope_shared": lambda x, positions: rope(x, positions[None]),
        "Rotary": lambda head_dim: SimpleNamespace(call=rope).call,
        "tables": lambda positions: (np.cos(angles(positions)), np.sin(angles(positions))),
        "rope_of_image": lambda x, yx: in_two_axes(x, yx, theta),
        "complex_table": lambda positions: np.exp(1j * angles(positions)),
    }


def in_two_axes(x, yx, theta):
    """64 channels in halves: 16 pairs follow the row, 16 the column."""
    w = theta ** (-np.arange(16) / 16)
    angle = (yx[..., None].astype(float) * w).reshape(*yx.shape[:2], 1, 32)
    z = (x[..., :32] + 1j * x[..., 32:]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], -1).astype(x.dtype)


def verdict(example, theta):
    names = functions(theta) | {
        "check_rope": check_rope,
        "from_tables": from_tables,
        "identify": identify,
        "config": CONFIG,
    }
    exec(example, names)
    return names["verdict"]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example(example):
    """What is identified is right by itself, whatever its theta."""
    assert verdict(example, 10000.0).right
    names = () if "identify(" in example else ("theta",)
    assert verdict(example, 20000.0).names == names


FORMS = {
    "doubled in halves": lambda cos, sin: (np.tile(cos, 2), np.tile(sin, 2)),
    "doubled neighbours": lambda cos, sin: (np.repeat(cos, 2, -1), np.repeat(sin, 2, -1)),
    "sin first": lambda cos, sin: (sin, cos),
    "one array": lambda cos, sin: np.concatenate([cos, sin], -1),
    "one array, sin first": lambda cos, sin: np.concatenate([sin, cos], -1),
    "one array, stacked": lambda cos, sin: np.stack([cos, sin], -1),
    "complex": lambda cos, sin: cos + 1j * sin,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_table(form):
    tables = functions(10000.0)["tables"]
    fn = from_tables(lambda positions: FORMS[form](*tables(positions)), CONFIG)
    assert check_rope(fn, CONFIG).right


def test_a_table_of_another_width():
    from rope_parity import NotMeasured

    tables = functions(10000.0)["tables"]
    fn = from_tables(lambda positions: [t[..., :5] for t in tables(positions)], CONFIG)
    with pytest.raises(NotMeasured, match="got 5 columns, expected 64"):
        check_rope(fn, CONFIG)
