"""Is this function the rotary embedding of a config, and what is wrong if not? `check_rope`."""

from .check import check_rope as check_rope
from .verdict import Finding as Finding, Verdict as Verdict
