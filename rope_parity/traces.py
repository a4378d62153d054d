"""Sequences of calls as a server or a chat makes them, which a table has to follow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rope_spec import Strategy


@dataclass(frozen=True)
class Trace:
    """A sequence of calls, each with its batch and its positions `(B, S)`."""

    name: str
    first: int  # rows of a growing table at the start
    longest: int  # positions that a table of fixed size has to serve
    calls: tuple[np.ndarray, ...] = field(repr=False)

    def rows(self, strategy: Strategy) -> int:
        """The rows of a table at the start."""
        return self.first if strategy in ("lazy", "doubling") else self.longest


def chat(turns: int = 12) -> Trace:
    """One long conversation: a prefill of mixed length, then some decoded tokens, over and over."""
    rng, position, calls = np.random.default_rng(0), 0, []
    for _ in range(turns):
        prompt = int(rng.choice([64, 128, 256, 512]))
        calls.append(np.arange(position, position + prompt)[None])
        position += prompt
        for _ in range(4):
            calls.append(np.array([[position]]))
            position += 1
    return Trace("one long chat", 512, 8192, tuple(calls))


def prefills(count: int = 10) -> Trace:
    """Independent requests of mixed lengths, each with some decoded tokens."""
    lengths = np.random.default_rng(1).choice([96, 200, 333, 512, 900, 1500, 2048, 3000], count)
    calls = [[np.arange(n)[None], *(np.array([[n + i]]) for i in range(3))] for n in lengths]
    return Trace("mixed prefills", 256, 4096, tuple(call for request in calls for call in request))


def server(steps: int = 12) -> Trace:
    """A server with padded buckets: few shapes, positions that go on growing."""
    rng, calls = np.random.default_rng(2), []
    for step in range(steps):
        bucket = int(rng.choice([128, 256]))
        offsets = rng.integers(0, 500 * (step + 1), (4, 1))
        calls += [np.arange(bucket)[None] + offsets, offsets + bucket]
    return Trace("server with buckets", 1024, 8192, tuple(calls))


TRACES = (chat, prefills, server)
