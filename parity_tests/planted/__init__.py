"""Faults planted before the referee was built, and right functions; nothing here is shared with either."""

from .case import Case as Case
from .pairs import PAIRS as PAIRS
from .right import right as right
from .single import SINGLE as SINGLE
from .vocabulary import VOCABULARY as VOCABULARY
