"""What the figures of a report depend on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import INSTALL
from .backends import devices

PACKAGES = ("rope-parity", "jax", "flax", "torch", "transformers", "numpy", "mpmath")


def environment() -> dict:
    """The versions and the machine, and what is missing on it."""
    packages = {name: _version(name) for name in PACKAGES}
    missing = [f"package {name}: {INSTALL}" for name, found in packages.items() if found is None]
    missing += [] if "gpu" in devices() else ["a GPU that both jax and torch see"]
    machine = {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()}
    return {
        "python": platform.python_version(),
        "packages": packages,
        "devices": devices(),
        "missing": missing,
        **machine,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
