"""Where the two channels of each pair lie, in numbers: `RopeSpec.read`, `write` and `start`."""

from typing import NamedTuple


class Channels(NamedTuple):
    """The first rotated channel, and how many blocks x and the result are cut into.

    The rotated channels are reshaped to `(..., blocks, 2, P // blocks)`: the two channels of a pair
    are then 0 and 1 on axis -2. One block is the layout of halves, channels j and P + j. With P
    blocks the channels are interleaved, 2j and 2j + 1.

    Attributes:
        start: the first rotated channel.
        read_blocks: the number of blocks in x.
        write_blocks: the number of blocks in the result.
    """

    start: int = 0
    read_blocks: int = 1
    write_blocks: int = 1

    @property
    def inverse(self) -> "Channels":
        """The channels of the inverse rotation, which reads what this one has written."""
        return Channels(self.start, self.write_blocks, self.read_blocks)

    def rotated(self, pairs: int) -> slice:
        """The channels that are rotated; the others stay."""
        return slice(self.start, self.start + 2 * pairs)


HALVES = Channels()
