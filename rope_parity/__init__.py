"""The referee: it measures RoPE implementations against each other and exact arithmetic.

transformers is measured too, where it is installed.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .doctor import Finding as Finding, Verdict as Verdict, check_rope as check_rope
    from .identification import (
        Departure as Departure,
        Identification as Identification,
        NotMeasured as NotMeasured,
        Options as Options,
        identify as identify,
    )
    from .tables import from_tables as from_tables

try:
    __version__ = version("rope-parity")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

INSTALL = "pip install 'rope-parity[parity]'"  # brings what the command needs
ROOMS = {
    "doctor": ("Finding", "Verdict", "check_rope"),
    "identification": ("Departure", "Identification", "NotMeasured", "Options", "identify"),
    "tables": ("from_tables",),
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: the version needs no NumPy."""
    for room, names in ROOMS.items():
        if name in names:
            return getattr(import_module(f".{room}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
