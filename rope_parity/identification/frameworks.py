"""Arrays from NumPy to the framework of a function, and back.

A framework that the function does not use is not imported.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from .result import NotMeasured

KNOWN = ("keras", "torch", "jax", "mlx", "tensorflow")  # a layer of Keras is a module of torch too
FRAMEWORKS = ("numpy", *KNOWN)


def frameworks_of(fn: Callable) -> list[str]:
    """The frameworks to try, the likeliest first.

    Those are the ones that the code names, then NumPy, then the ones that are imported.
    """
    named = [name for name in KNOWN if name in set(_roots(fn, 6))]
    imported = [name for name in KNOWN if name in sys.modules and name not in named]
    return [*named, "numpy", *imported]


def _roots(fn: Any, depth: int) -> Iterator[str]:
    """The top-level packages of the modules, functions and classes that some code names."""
    yield from (cls.__module__.split(".")[0] for cls in type(fn).__mro__)
    if depth == 0:
        return
    for inner in _inside(fn):
        module = inner.__name__ if isinstance(inner, ModuleType) else _module(inner)
        yield module.split(".")[0]
        if module.split(".")[0] not in (*KNOWN, "numpy", "builtins") and callable(inner):
            yield from _roots(inner, depth - 1)


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _inside(fn: Any) -> Iterator[Any]:
    """What a callable refers to: globals by name, its closure, what it wraps, its attributes."""
    fn = fn.func if isinstance(fn, functools.partial) else fn
    yield from (
        value
        for name in ("__wrapped__", "__func__", "__self__")
        if (value := getattr(fn, name, None)) is not None
    )
    if isinstance(fn, type):
        yield from (value for value in vars(fn).values() if callable(value))
    code = getattr(fn, "__code__", None)
    if code is None:
        yield from getattr(fn, "__dict__", {}).values()
        yield type(fn)
        return
    space = getattr(fn, "__globals__", {})
    yield from (space[name] for name in _names(code) if name in space)
    for cell in fn.__closure__ or ():
        yield cell.cell_contents
    yield from _imported(code)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _imported(code: CodeType) -> Iterator[ModuleType]:
    """Modules that are imported inside the function."""
    names = {name.split(".")[0] for name in _names(code)} & {*KNOWN}
    yield from (sys.modules[name] for name in names if name in sys.modules)


def to_framework(values: np.ndarray, dtype: str, framework: str, device: Any = None) -> Any:
    """An array of a framework, of float64 values that `dtype` holds, or of integers.

    Raises:
        NotMeasured: it cannot be made, or not on this device.
    """
    try:
        return _made(values, dtype, framework, device)
    except Exception as error:
        what = f"No {dtype} array of {framework} could be made"
        place = "" if device is None else f" on device={device!r}"
        raise NotMeasured(f"{what}{place}: {error}") from error


def _made(values: np.ndarray, dtype: str, framework: str, device: Any) -> Any:
    if framework in ("numpy", "mlx") and device is not None:
        raise ValueError(f"arrays of {framework} are on no device. Leave device= out.")
    if framework == "numpy":
        return _numpy(values, dtype)
    library = importlib.import_module(framework)
    if framework == "torch":
        return library.tensor(values).to(dtype=getattr(library, dtype), device=device)
    wide = values.astype(_wide(dtype))
    if framework == "jax":
        device = library.devices(device)[0] if isinstance(device, str) else device
        return library.device_put(library.numpy.asarray(wide).astype(dtype), device)
    if framework == "mlx":
        core = importlib.import_module("mlx.core")
        return core.array(wide).astype(getattr(core, dtype))
    with nullcontext() if device is None else library.device(device):
        if framework == "keras":
            return library.ops.convert_to_tensor(wide, dtype=dtype)
        return library.cast(wide, dtype)


def _wide(dtype: str) -> str:
    return "float32" if "float" in dtype and dtype != "float64" else dtype


def _numpy(values: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":  # NumPy has it from ml_dtypes alone
        return values.astype(importlib.import_module("ml_dtypes").bfloat16)
    return values.astype(dtype)


def to_numpy(array: Any) -> tuple[np.ndarray, str]:
    """float64 values, and the name of the dtype that they had.

    Raises:
        NotMeasured: there are no values, as on a meta device.
    """
    dtype = str(array.dtype).split(".")[-1]
    try:
        return np.asarray(_plain(array)).astype(np.float64), dtype
    except Exception as error:
        kind = f"{type(array).__module__}.{type(array).__name__}"
        raise NotMeasured(f"The result, a {kind}, has no values to read: {error}") from error


def _plain(array: Any) -> Any:
    """What NumPy can read."""
    if hasattr(array, "detach"):
        return array.detach().cpu().double()
    if type(array).__module__.startswith("mlx"):
        return array.astype(importlib.import_module("mlx.core").float32)
    return array.numpy() if type(array).__module__.startswith("tensorflow") else array
