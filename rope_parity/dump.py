"""For other languages: the inputs of a measurement in a file, and the verdict on a file of outputs.

`probe` writes x and positions of every call, `x.0`, `positions.0`, `x.1`, ...; a program of any
language
writes `y.0`, `y.1`, ... in the same order, calling one instance of its function; `judged` reads
them.
safetensors or npz, by the name of the file. Nothing in either file is executed.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rope_spec import RopeSpec

from .doctor.check import judge, probe_of
from .doctor.compare import expected, image
from .doctor.verdict import Verdict
from .identification.measure import measure
from .identification.probe import Probe
from .identification.result import NotMeasured
from .identification.setup import lengths

VERSION = "1"
Arrays = dict[str, np.ndarray]
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I32": "int32", "I64": "int64"}
LONGEST_HEADER = 10**7


def probe(path: Path, spec: RopeSpec, context: int, layout: str = "BSNH") -> int:
    """Write the inputs of every call of a measurement; how many calls there are.

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

    read = _reader(path)
    prober = _prober(replay, spec, context, layout)
    return judge(measure(prober, lengths(prober, spec.rule)), spec)


def _prober(fn: Callable, spec: RopeSpec, context: int, layout: str) -> Probe:
    prober = probe_of(fn, spec, context=context, layout=layout, framework="numpy")
    prober.recorded = True
    return prober


def _right(
    x: np.ndarray, positions: np.ndarray, prober: Probe, spec: RopeSpec, calls: list
) -> np.ndarray:
    """The image by the description, and the call remembered."""
    calls.append((x, positions))
    back = prober.subject.layout.back(x.astype(np.float64), prober.shape)
    unit, axes, shape = prober.subject.unit or 1.0, spec.pairs.axes, prober.shape
    rows = (positions / unit).reshape(-1, shape[1], 1, axes)
    rows = np.broadcast_to(rows, (*shape[:3], axes)).reshape(-1, axes)
    what = expected(spec, int(rows.max()) + 1, unit)
    y = image(spec, what, back.reshape(-1, shape[3]), rows.astype(np.int64)).reshape(shape)
    return prober.subject.layout.to(y).astype(np.float32)


def write(path: Path, arrays: Arrays, about: dict[str, str]) -> None:
    """Write arrays as safetensors or npz, by the name of the file."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        return
    _check_suffix(path)
    header: dict[str, Any] = {"__metadata__": about}
    names, start = {v: k for k, v in DTYPES.items()}, 0
    for name, array in arrays.items():
        place = {"dtype": names[array.dtype.name], "shape": list(array.shape)}
        header[name] = place | {"data_offsets": [start, start + array.nbytes]}
        start += array.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".safetensors", ".npz"):
        raise ValueError(f"got {path.name!r}, expected a name that ends in .safetensors or .npz")


def _reader(path: Path) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    """Reads an array of an expected shape; what is of another shape is not read at all."""
    _check_suffix(path)
    return _from_npz(path) if path.suffix == ".npz" else _from_safetensors(path)


def _wrong(name: str, got: object, expected: object) -> NotMeasured:
    return NotMeasured(f"{name}: got {got}, expected {expected}. Write the outputs for this probe.")


def _from_safetensors(path: Path) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if length > min(size - 8, LONGEST_HEADER):
            raise _wrong(
                path.name, f"a header of {length} bytes", f"at most {min(size, LONGEST_HEADER)}"
            )
        header = _header(path.name, file.read(length))

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        entry = header.get(name)
        if not isinstance(entry, dict) or entry.get("shape") != list(shape):
            raise _wrong(name, "nothing" if entry is None else entry, f"shape {list(shape)}")
        dtype = DTYPES.get(str(entry.get("dtype")), "")
        if not dtype.startswith("float"):
            raise _wrong(name, entry.get("dtype"), "F16, F32 or F64")
        start, count = entry.get("data_offsets", [None])[0], int(np.prod(shape))
        if (
            not isinstance(start, int)
            or start < 0
            or 8 + length + start + count * np.dtype(dtype).itemsize > size
        ):
            raise _wrong(name, f"offset {start}", "one inside the file")
        with path.open("rb") as file:
            file.seek(8 + length + start)
            return np.fromfile(file, dtype, count).reshape(shape)

    return read


def _header(name: str, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(name, f"no JSON ({error})", "a safetensors header") from error
    if not isinstance(header, dict):
        raise _wrong(name, type(header).__name__, "a safetensors header")
    return header


def _from_npz(path: Path) -> Callable[[str, tuple[int, ...]], np.ndarray]:
    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
                read_header = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[np.lib.format.read_magic(file)]
                found, _, dtype = read_header(file)
                if found != shape or dtype.kind != "f":
                    raise _wrong(name, f"{dtype} {found}", f"floats {shape}")
                with archive.open(f"{name}.npy") as again:
                    return np.lib.format.read_array(again, allow_pickle=False)
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise _wrong(name, f"{type(error).__name__}: {error}", f"floats {shape}") from error

    return read
