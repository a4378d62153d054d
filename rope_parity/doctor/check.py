"""`check_rope`: a function and a config in, a verdict out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Unpack

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
from ..identification.options import Options
from ..identification.probe import Probe
from ..identification.result import Departure
from ..identification.setup import UNSAID, build, lengths
from .compare import expected, roundoff, turn_errors
from .diagnose import diagnose, worst
from .sentence import sentence
from .verdict import FIRST, Errors, Finding, Verdict

LONGEST = 2**20  # positions, at most


def check_rope(
    fn: Callable,
    config: Config | RopeSpec,
    *,
    label: str | None = None,
    model_type: str | None = None,
    ignore: Collection[str] = (),
    **options: Unpack[Options],
) -> Verdict:
    """Say whether `fn(x, positions)` is the rotary embedding of a config, and what is wrong if not.

    Args:
        fn: as for `identify`.
        config: a `RopeSpec`, or what `spec_from_config` takes: the path of a config.json, its
            values, an object.
        label: which kind of layer, where the model has several.
        model_type: as for `spec_from_config`.
        ignore: as for `spec_from_config`.
        **options: `layout`, `context`, `dtype`, `positions`, `factory`, `framework`, `device`; see
            `Options`.

    Returns:
        A `Verdict`.

    Raises:
        NotMeasured: fn raises, returns another shape, or ignores the positions.
        ValueError: the config is not understood, or an argument is wrong.
        TypeError: there is no such option.
    """
    if isinstance(config, RopeSpec):
        spec = config
    else:
        spec = spec_from_config(config, label, model_type=model_type, ignore=ignore)
        options["context"] = options.get("context") or context_of(config, model_type)
    probe = probe_of(fn, spec, **options)
    return judge(measure(probe, lengths(probe, spec.rule)), spec)


def probe_of(fn: Callable, spec: RopeSpec, **options: Unpack[Options]) -> Probe:
    """The probe of a function that is to be what `spec` describes."""
    options["context"] = min(options.get("context") or UNSAID, LONGEST)
    if spec.real and isinstance(options.get("positions", "any"), str):
        options["positions"] = "real"
    return build(fn, spec.head_dim, axes=spec.pairs.axes, **options)


def judge(measured: Measurement, spec: RopeSpec) -> Verdict:
    """The verdict on what was measured."""
    with np.errstate(invalid="ignore", divide="ignore"):
        departures = diagnose(measured, spec)
        used = worst(measured, spec)[0]
        errors = errors_of(measured, spec)
        found = identification(measured)
    findings = tuple(Finding(d, sentence(d, spec)) for d in departures)
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
    """The errors at every measured position; empty where the number of pairs is another one."""
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
    """The departures that others would hide, if they were there."""
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
