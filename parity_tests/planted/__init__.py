"""Faults planted before the referee was built, and right functions, in code of their own.

`case.factory()` is a fresh `fn(x, positions)`. `case.is_named_by(names)` says if a referee that
answers with these names of the vocabulary found what was planted.
"""

from .case import Case as Case
from .pairs import PAIRS as PAIRS
from .right import right as right
from .single import SINGLE as SINGLE
from .vocabulary import VOCABULARY as VOCABULARY
