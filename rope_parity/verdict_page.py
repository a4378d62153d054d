"""A verdict as one page: the sentence, where the errors are, and the two descriptions.

It needs no network and no library.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rope_spec import RopeSpec

from .charts import Chart, chart, pair_ticks, position_ticks
from .doctor import Verdict, words
from .doctor.verdict import FIRST


def write(path: Path, verdict: Verdict, title: str) -> None:
    """Write the page."""
    loader = PackageLoader("rope_parity", "templates")
    jinja = Environment(
        loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True
    )
    evidence, count = verdict.found.evidence, len(verdict.findings)
    text = jinja.get_template("verdict.html").render(
        title=title,
        verdict=verdict,
        headline="Right." if verdict.right else f"Wrong: {count} finding{'s' * (count > 1)}.",
        normal=" ".join(words.normal(verdict)),
        findings=[finding.text for finding in verdict.findings],
        charts=list(charts(verdict)),
        sides=list(sides(verdict)),
        looked=(
            f"{evidence.positions[0]} positions up to {evidence.positions[1]:,}, in "
            f"{evidence.calls} calls."
        ),
        not_tested=evidence.not_tested,
    )
    path.write_text(text, encoding="utf-8")


def charts(verdict: Verdict) -> Iterator[Chart]:
    """The error over position and by pair, and what float arithmetic allows."""
    errors = verdict.errors
    if not errors.positions.size:
        return
    order = np.argsort(errors.positions, kind="stable")
    positions = errors.positions[order]
    over = [("error", positions, errors.by_position[order])]
    over.append(("allowed", positions, errors.allowed[order]))
    names = "at every position", f"up to position {FIRST}"
    by_pair = [
        (name, np.arange(len(error)), error)
        for name, error in zip(names, errors.by_pair, strict=False)
    ]
    logarithm = lambda x: np.log2(1 + np.maximum(x, 0))
    yield chart(
        "error over position, as a share of the length of a pair", over, logarithm, position_ticks
    )
    if errors.by_pair.size > 2:
        yield chart("largest error of each pair, fast to slow", by_pair, lambda x: x, pair_ticks)


def sides(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """Line by line what is described and what was found."""
    described, found = verdict.spec, verdict.found.spec
    factor = f"{verdict.expected_factor:.6g}", f"{verdict.found.evidence.attention_factor:.6g}"
    for name, show in SHOWN.items():
        yield name, show(described), "no RopeSpec describes it" if found is None else show(found)
    yield "attention factor", *factor


def _rule(spec: RopeSpec) -> str:
    text = "none" if spec.rule is None else str(spec.rule)
    return text if len(text) < 200 else f"{type(spec.rule).__name__}, a list"


SHOWN = {
    "rotated channels": lambda spec: f"{spec.rotary_dim} from {spec.start} on",
    "pairs read as": lambda spec: spec.read,
    "written as": lambda spec: spec.write or spec.read,
    "theta": lambda spec: f"{spec.theta:g}",
    "scaling": _rule,
    "coordinates": lambda spec: str(spec.pairs.axes),
    "sign": lambda spec: str(spec.sign),
}
