"""Departures in words: what differs, where, how large it is, how to mend it. At most 80 columns."""
from __future__ import annotations
import textwrap
from typing import Any
def sentence(d, spec): return f"{d.name} {d.how} found {str(d.found)[:60]} expected {str(d.expected)[:60]}"
def verdict(v): return "right" if v.right else "\n".join(f.text for f in v.findings)
def plain(v): return v
