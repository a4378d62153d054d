"""The referee: measures RoPE implementations against each other, transformers and exact arithmetic."""

from importlib.metadata import PackageNotFoundError, version

from .doctor import Finding as Finding, Verdict as Verdict, check_rope as check_rope
from .identification import (
    Departure as Departure,
    Identification as Identification,
    NotMeasured as NotMeasured,
    identify as identify,
)
from .tables import from_tables as from_tables

try:
    __version__ = version("rope-parity")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

INSTALL = "pip install 'rope-parity[parity]'"  # brings what the command needs
