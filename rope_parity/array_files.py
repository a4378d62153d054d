"""Arrays in safetensors or npz files. Reading one executes nothing that stands in it."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .identification.result import NotMeasured

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I32": "int32", "I64": "int64"}
LONGEST_HEADER = 10**7
Arrays = dict[str, np.ndarray]
Read = Callable[[str, tuple[int, ...]], np.ndarray]  # of a name and the shape that is expected


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


def reader(path: Path) -> Read:
    """Reads an array of an expected shape; what is of another shape is not read at all."""
    _check_suffix(path)
    return _from_npz(path) if path.suffix == ".npz" else _from_safetensors(path)


def _wrong(name: str, got: object, expected: object) -> NotMeasured:
    return NotMeasured(f"{name}: got {got}, expected {expected}. Write the outputs for this probe.")


def _from_safetensors(path: Path) -> Read:
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


def _from_npz(path: Path) -> Read:
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
