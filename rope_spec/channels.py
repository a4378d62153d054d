"""Where the two channels of each pair lie, in numbers, for the code that rotates."""

from typing import NamedTuple


class Channels(NamedTuple):
    """Where the two channels of each pair lie: what a rotation needs to know beside cos and sin.

    A pair lies across axis -2 of `(..., blocks, 2, P // blocks)`.

    Attributes:
        start: the first rotated channel.
        read: the number of blocks in x.
        write: the number of blocks in the result.
    """

    start: int = 0
    read: int = 1
    write: int = 1

    @property
    def inverse(self) -> "Channels":
        """From where the channels were written to where they were read."""
        return Channels(self.start, self.write, self.read)

    def rotated(self, pairs: int) -> slice:
        """The channels that are rotated; the others stay."""
        return slice(self.start, self.start + 2 * pairs)


HALVES = Channels()
