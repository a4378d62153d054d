"""`check_rope`: a function and a config in, a verdict out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rope_spec import (
    LongRope,
    RopeSpec,
    Yarn,
    context_length,
    inverse_frequencies,
    spec_from_config,
)
from rope_spec.config import Config

from ..identification.describe import identification
from ..identification.measure import Measurement, measure
from ..identification.number import HALF
from ..identification.probe import Probe
from ..identification.result import Departure, Identification
from ..identification.setup import build, lengths
from . import words
from .compare import expected, roundoff, turn_errors
from .diagnose import diagnose, worst

UNSAID, MOST = 4096, 2**20  # positions where a config names no length, and at most
FIRST = 16  # the last of the first positions
REAL_UNIT = 2.0**-8  # real coordinates are looked at in these steps


@dataclass(frozen=True)
class Finding:
    """A departure, and what to say about it."""

    departure: Departure
    text: str

    @property
    def name(self) -> str:
        return self.departure.name


@dataclass(frozen=True)
class Errors:
    """Where it shows: errors as shares of the length of a pair.

    Attributes:
        positions: `(n,)`, the largest coordinate of each position that was looked at.
        by_position: the largest error there, `(n,)`.
        allowed: what float arithmetic allows there, `(n,)`.
        by_pair: the largest error of each pair, everywhere and up to position `FIRST`, `(2, P)`;
            nothing where the pairs are not as many as described.
    """

    positions: np.ndarray
    by_position: np.ndarray
    allowed: np.ndarray
    by_pair: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """Whether a function is the rotary embedding that is described.

    Attributes:
        right: it is, at every position and length that was looked at.
        findings: what is wrong, each with its text.
        spec: what is described.
        found: what the function is.
        angle_error: the largest error against exact arithmetic, as a share of the length of a pair.
        used: the largest share of what float arithmetic allows that is used; above 1 is wrong.
        expected_factor: the attention factor that is described.
        errors: where it shows.
        hidden: names of departures that could not be seen beside the findings.
    """

    right: bool
    findings: tuple[Finding, ...]
    spec: RopeSpec
    found: Identification
    angle_error: float
    used: float
    expected_factor: float
    errors: Errors = field(repr=False)
    hidden: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings."""
        return tuple(finding.name for finding in self.findings)

    @property
    def text(self) -> str:
        """The verdict in words, at most 80 columns wide."""
        return words.verdict(self)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        from dataclasses import asdict

        values = asdict(self) | {"found": self.found.as_dict(), "text": self.text}
        return words.plain(values)


def check_rope(
    fn: Callable,
    config: Config | RopeSpec,
    *,
    layout: str = "BSNH",
    label: str | None = None,
    context: int | None = None,
    dtype: str = "float32",
    positions: str | Any = "any",
    factory: bool = False,
    framework: str | None = None,
    device: Any = None,
    model_type: str | None = None,
    ignore: Collection[str] = (),
) -> Verdict:
    """Say whether `fn(x, positions)` is the rotary embedding that a config describes, and what is
    wrong if not.

    Args:
        fn: as for `identify`.
        config: a `RopeSpec`, or what `spec_from_config` takes: the path of a config.json, its
            values, an object.
        layout: the axes of x, `BSNH` by default.
        label: which kind of layer, where the model has several.
        context: positions are looked at from 0 to context - 1; by default what the config says.
        dtype: of x.
        positions: which ones fn takes, as for `identify`.
        factory: fn makes the function.
        framework: as for `identify`.
        device: as for `identify`.
        model_type: as for `spec_from_config`.
        ignore: as for `spec_from_config`.

    Returns:
        A `Verdict`.

    Raises:
        NotMeasured: fn raises, returns another shape, or takes no notice of positions.
        ValueError: the config is not understood, or an argument is wrong.
    """
    spec = config
    if not isinstance(config, RopeSpec):
        spec = spec_from_config(config, label, model_type=model_type, ignore=ignore)
        context = context or context_of(config, model_type)
    assert isinstance(spec, RopeSpec)
    probe = probe_of(
        fn,
        spec,
        layout=layout,
        context=context,
        dtype=dtype,
        positions=positions,
        factory=factory,
        framework=framework,
        device=device,
    )
    return judge(measure(probe, lengths(probe, spec.rule), factory), spec)


def probe_of(fn: Callable, spec: RopeSpec, *, context: int | None = None, **options: Any) -> Probe:
    """The probe of a function that is to be what `spec` describes; options as for `check_rope`."""
    options |= {"axes": spec.pairs.axes, "unit": REAL_UNIT if spec.real else None}
    return build(fn, spec.head_dim, context=min(context or UNSAID, MOST), **options)


def judge(measured: Measurement, spec: RopeSpec) -> Verdict:
    """The verdict on what was measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        departures = diagnose(measured, spec)
        used = worst(measured, spec)[0]
        errors = errors_of(measured, spec)
        found = identification(measured)
    findings = tuple(Finding(d, words.sentence(d, spec)) for d in departures)
    return Verdict(
        not findings,
        findings,
        spec,
        found,
        float(errors.by_position.max(initial=0.0)),
        used,
        inverse_frequencies(spec).attention_factor,
        errors,
        hidden(departures, spec, found.arithmetic.dtype),
    )


def errors_of(measured: Measurement, spec: RopeSpec) -> Errors:
    """Over the turns where the pairs are as many as described, else nothing."""
    reading, unit = measured.reading, measured.probe.subject.unit or 1.0
    what = expected(spec, measured.probe.context, unit)
    if reading is None or len(reading.w) != len(what.w):
        return Errors(*(np.zeros(0) for _ in range(4)))
    error, allowed = turn_errors(reading.raw, what, roundoff(measured))
    error = np.minimum(error, 2.0)
    positions = reading.raw.positions.max(axis=1)
    by_pair = np.stack([error.max(axis=0), error[positions <= FIRST].max(axis=0, initial=0.0)])
    return Errors(positions, error.max(axis=1), allowed.max(axis=1), by_pair)


def hidden(departures: list[Departure], spec: RopeSpec, dtype: str) -> tuple[str, ...]:
    """What could not be seen beside some departures, if it were there."""
    names = {d.name for d in departures}
    end = min((d.position or 0 for d in departures if d.name == "table_ends"), default=None)
    is_whole = any(d.name == "rotated_width" and d.found == spec.head_dim for d in departures)
    unseen = {
        "rule_parameter": "rule_missing" in names,
        "attention_factor": "rule_missing" in names and isinstance(spec.rule, Yarn | LongRope),
        "pass_through": is_whole,
        "positions_rounded": end is not None and end <= 257,
        "table_rounded": "products_rounded" in names or dtype in HALF,
        "products_rounded": dtype in HALF,
        "frequencies": "not_a_rotation" in names,
    }
    return tuple(name for name, is_so in unseen.items() if is_so and name not in names)


def context_of(config: Config, model_type: str | None = None) -> int:
    """The context of a config, or `UNSAID` where it names none."""
    try:
        return context_length(config, model_type=model_type)
    except (ValueError, TypeError):
        return UNSAID
