"""Where the two channels of each pair lie: `RopeSpec.read`, `write` and `start` as numbers."""

from typing import NamedTuple


class Channels(NamedTuple):
    """Where the two channels of each pair lie: what a rotation needs to know beside cos and sin.

    The rotated channels are reshaped to `(..., blocks, 2, P // blocks)`: the two channels of a pair
    are then 0 and 1 on axis -2.

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
        """The channels of the inverse rotation, which reads what this one has written."""
        return Channels(self.start, self.write, self.read)

    def rotated(self, pairs: int) -> slice:
        """The channels that are rotated; the others stay."""
        return slice(self.start, self.start + 2 * pairs)


HALVES = Channels()
