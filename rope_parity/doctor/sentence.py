"""One departure as a paragraph: what differs, where, how large the error is, how to mend it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import is_dataclass
from numbers import Integral
from typing import Any

from rope_spec import RopeSpec

from ..identification.result import Departure
from .texts import LAYOUT, TEXTS

WIDTH = 80
INDENT = 3  # of the number of a finding
SAME = 1e-4  # relative distance of two factors that count as one


def sentence(departure: Departure, spec: RopeSpec) -> str:
    """What one departure is, as a paragraph and a line for each of its figures."""
    texts, variant = TEXTS[departure.name], _variant(departure)
    text = texts[variant if variant in texts else ""].format(**_fields(departure, spec))
    figures = [
        textwrap.fill(f"  {line}", WIDTH, subsequent_indent="    ") for line in departure.figures
    ]
    paragraph = " ".join([text, *_where(departure)])
    return "\n".join([textwrap.fill(paragraph, WIDTH - INDENT), *figures])


def _where(d: Departure) -> list[str]:
    """The pairs, the position and the size, as far as they are known."""
    sentences: list[str] = []
    if d.pairs is not None:
        first, last = d.pairs
        which = f"pair {first}" if first == last else f"pairs {first} to {last}"
        sentences.append(f"It shows in {which}.")
    if d.position is not None and d.name not in ("table_ends", "state"):
        sentences.append(f"It shows from position {d.position} on.")
    if d.size is not None and 0 < d.size < math.inf:
        sentences.append(f"Largest error: {d.size:.2g} of the length of a pair.")
    return sentences


def _fields(d: Departure, spec: RopeSpec) -> dict[str, Any]:
    """The fields that a text may name."""
    found, is_number = d.found, isinstance(d.found, Integral)
    return {
        "d": d,
        "found": _against(found, d.expected),
        "expected": _against(d.expected, found),
        "layout": LAYOUT.get(str(found)),
        "expected_layout": LAYOUT.get(str(d.expected)),
        "half": spec.rotary_dim // 2,
        "last": found - 1 if is_number else 0,
        "signed": f"{found:+d}" if is_number else "",
    }


def _against(value: object, other: object) -> str:
    """A value in short; of a rule, the numbers that another one of its kind does not have."""
    if type(value) is not type(other) or not is_dataclass(value):
        return shown(value)
    of, its = vars(value), vars(other)
    numbers = (f"{name}={shown(of[name])}" for name in of if not _is_same(of[name], its[name]))
    return ", ".join(numbers) or shown(value)


def _is_same(number: object, other: object) -> bool:
    """Whether two numbers of a rule are the same, as far as they can be measured."""
    if isinstance(number, float) and isinstance(other, float):
        return math.isclose(number, other, rel_tol=SAME)
    return number == other


def shown(value: object) -> str:
    """A value in short: six digits, or the first characters."""
    if isinstance(value, tuple) and 1 < len(value) <= 4:
        return ", ".join(map(shown, value[:-1])) + " and " + shown(value[-1])
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) < 60 else text[:56] + " ..."


VARIANTS: dict[str, Callable[[Departure], str]] = {
    "attention_factor": lambda d: "twice" if d.how != "cos and sin" and _is_twice(d) else d.how,
    "rule_missing": lambda d: "otherwise" if d.how else "",
    "rule_parameter": lambda d: "unknown" if d.found is None else "",
    "frequencies": lambda d: "unknown" if d.found is None and d.how != "list" else d.how,
}


def _variant(d: Departure) -> str:
    return VARIANTS[d.name](d) if d.name in VARIANTS else d.how


def _is_twice(d: Departure) -> bool:
    """Whether the factor that was found is the square of the one that is described."""
    return d.found and d.expected != 1 and abs(d.found / d.expected**2 - 1) < SAME
