"""The counter of bundles, and the table that was made with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import wheel

wheel("libtpu")
from . import bundles  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
MEASURED = json.loads((ROOT / "benchmarks" / "results" / "tpu-bundles.json").read_text())
LOOP = """= control target key start
LB: loop body
= control target key end

     0   :  { %s1 = smov.u32 0 }
   0x1 LB: > { %v1 = vld [vmem:[%s1] sm:$0xff] }
   0x2   : > { %p1 = scmp.ge.s32.totalorder %s1, 12 /* loop exit test */ }
   0x3   :  { %28 = sbr.rel (!%p1) target = $region1 }
"""
ONE = """
from parity_tests.accelerators import bundles
print(bundles.figures("v5e", "float32", *bundles.programs()["any"]["x + 1"]))
"""


def test_the_bundles_of_a_loop_count_once_for_each_step():
    """Ten blocks of two bundles, and a bundle before and after them."""
    assert bundles.issued(LOOP) == 22
    assert bundles.issued(LOOP.replace("LB: >", "  : >").replace("loop exit test", "")) == 4


def test_the_page_has_the_figures_that_were_recorded():
    page = (ROOT / "docs" / "three_compilers.md").read_text()
    assert "\n".join(bundles.markdown(MEASURED)) in page


def test_a_figure_that_was_recorded_is_found_again():
    """In a process of its own, as libtpu is told once where to write."""
    command = [sys.executable, "-c", ONE]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert float(out.stdout) == MEASURED["any"]["x + 1"]["v5e, float32"], out.stderr
