"""Faults planted before the referee was built, and right functions, in code of their own."""

from .case import Case as Case
from .pairs import PAIRS as PAIRS
from .right import right as right
from .single import SINGLE as SINGLE
from .vocabulary import VOCABULARY as VOCABULARY
