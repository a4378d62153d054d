"""For other languages: the inputs of a measurement in a file, and the verdict on a file of outputs.

`probe` writes x and positions of every call: `x.0`, `positions.0`, `x.1`, ... A program in any
language calls one instance of its function and writes `y.0`, `y.1`, ... in the same order. `judged`
reads them. The files are safetensors or npz, by their names; nothing in them is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rope_spec import RopeSpec

from .array_files import reader, write
from .doctor.check import judge, probe_of
from .doctor.compare import expected, image
from .doctor.verdict import Verdict
from .identification.measure import measure
from .identification.probe import Probe
from .identification.setup import lengths

VERSION = "1"


def probe(path: Path, spec: RopeSpec, context: int, layout: str = "BSNH") -> int:
    """Write the inputs of every call of a measurement; return the number of calls.

    Args:
        path: of the file, *.safetensors or *.npz.
        spec: what is to be checked.
        context: positions are 0 to context - 1.
        layout: the axes of x, as for `check_rope`.
    """
    calls: list[tuple[np.ndarray, np.ndarray]] = []
    prober = _prober(
        lambda x, positions: _right(x, positions, prober, spec, calls), spec, context, layout
    )
    measure(prober, lengths(prober, spec.rule))
    arrays = {f"x.{i}": x for i, (x, _) in enumerate(calls)}
    arrays |= {f"positions.{i}": positions for i, (_, positions) in enumerate(calls)}
    write(path, arrays, {"format": "rope-parity probe", "version": VERSION, "layout": layout})
    return len(calls)


def judged(path: Path, spec: RopeSpec, context: int, layout: str = "BSNH") -> Verdict:
    """The verdict on a file of outputs for the inputs that `probe` writes for the same arguments.

    Raises:
        NotMeasured: an output is missing, of another shape or dtype, or the file is not what it
            says.
    """
    sent = iter(range(10**6))

    def replay(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        name = f"y.{next(sent)}"
        return read(name, x.shape)

    read = reader(path)
    prober = _prober(replay, spec, context, layout)
    return judge(measure(prober, lengths(prober, spec.rule)), spec)


def _prober(fn: Callable, spec: RopeSpec, context: int, layout: str) -> Probe:
    prober = probe_of(fn, spec, context=context, layout=layout, framework="numpy")
    prober.recorded = True
    return prober


def _right(
    x: np.ndarray, positions: np.ndarray, prober: Probe, spec: RopeSpec, calls: list
) -> np.ndarray:
    """The right result by the description; the call is added to `calls`."""
    calls.append((x, positions))
    back = prober.subject.layout.back(x.astype(np.float64), prober.shape)
    unit, axes, shape = prober.subject.unit or 1.0, spec.pairs.axes, prober.shape
    rows = (positions / unit).reshape(-1, shape[1], 1, axes)
    rows = np.broadcast_to(rows, (*shape[:3], axes)).reshape(-1, axes)
    what = expected(spec, int(rows.max()) + 1, unit)
    y = image(spec, what, back.reshape(-1, shape[3]), rows.astype(np.int64)).reshape(shape)
    return prober.subject.layout.to(y).astype(np.float32)
