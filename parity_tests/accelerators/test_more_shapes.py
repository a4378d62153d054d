"""Shapes without a bound: the page has their figures, and no form by concatenation moves less."""

import re
from pathlib import Path

import pytest

from . import wheel

wheel("libtpu")
from .more_shapes import CHIPS, SHAPES, row  # noqa: E402

PAGE = Path(__file__).parent.parent.parent / "docs" / "three_compilers.md"


@pytest.mark.parametrize("name", SHAPES)
def test_bytes_that_are_moved(name):
    found = row(name)
    assert found in PAGE.read_text()
    each = re.findall(r"(\d+\.\d+), (\d+\.\d+)", found)
    assert len(each) == len(CHIPS) and all(float(ours) <= float(theirs) for ours, theirs in each)
