"""Positions as data pipelines need them: padding, packing, images. NumPy on the host; int32."""

from collections.abc import Sequence

import numpy as np

Grid = tuple[int, int, int]


def positions_from_mask(mask: np.ndarray) -> np.ndarray:
    """The index of each token among the real ones; 0 for padding, left or right.

    Args:
        mask: `(..., S)`, true or 1 for real tokens.

    Returns:
        int32 `(..., S)`.
    """
    real = np.asarray(mask) != 0
    return np.where(real, np.cumsum(real, axis=-1) - 1, 0).astype(np.int32)


def positions_from_segments(segment_ids: np.ndarray, padding: int = 0) -> np.ndarray:
    """The index of each token within its segment, for sequences packed into one row.

    Args:
        segment_ids: integers `(..., S)`; a segment is a run of equal numbers.
        padding: the number of what is no segment; its positions are 0.

    Returns:
        int32 `(..., S)`.
    """
    segment_ids = np.asarray(segment_ids)
    index = np.arange(segment_ids.shape[-1])
    starts = np.concatenate([segment_ids[..., :1] == segment_ids[..., :1], np.diff(segment_ids) != 0], axis=-1)
    start = np.maximum.accumulate(np.where(starts, index, 0), axis=-1)
    return np.where(segment_ids == padding, 0, index - start).astype(np.int32)


def grid_positions(grid: Grid, merge: int = 1) -> np.ndarray:
    """Row and column of each patch of a vision tower, frame by frame.

    Args:
        grid: frames, rows and columns of patches.
        merge: patches come in squares of this size, one square after the other, as Qwen2-VL orders them.

    Returns:
        int32 `(T H W, 2)`.

    Raises:
        ValueError: rows or columns are no multiple of `merge`.
    """
    frames, rows, columns = _checked(grid, merge)
    row, column = np.divmod(np.arange(rows * columns), columns)
    squares = np.stack([row, column], axis=-1).reshape(rows // merge, merge, columns // merge, merge, 2)
    return np.tile(squares.swapaxes(1, 2).reshape(-1, 2), (frames, 1)).astype(np.int32)


def mrope_positions(parts: Sequence[int | Grid], merge: int = 2) -> np.ndarray:
    """Time, row and column of each token of a sequence of text and images, as M-RoPE counts them (arXiv:2409.12191).

    Text has the same number on all three axes. The tokens of an image start where the text stopped and count each axis for
    itself; text goes on after the largest number so far (transformers 5.23 leaves the frames out of that; no difference
    while there are fewer than rows or columns).

    Args:
        parts: in their order the number of tokens of a text, or the grid `(T, H, W)` of patches of an image or video.
        merge: patches that become one token along rows and along columns.

    Returns:
        int32 `(S, 3)`.

    Raises:
        ValueError: rows or columns are no multiple of `merge`.
    """
    start, found = 0, [np.zeros((0, 3), np.int64)]
    for part in parts:
        if isinstance(part, (int, np.integer)):
            axes = np.repeat(np.arange(part)[:, None], 3, axis=1)
        else:
            frames, rows, columns = _checked(part, merge)
            axes = np.indices((frames, rows // merge, columns // merge)).reshape(3, -1).T
        found.append(start + axes)
        start = int(found[-1].max(initial=start - 1)) + 1
    return np.concatenate(found).astype(np.int32)


def _checked(grid: Grid, merge: int) -> Grid:
    if merge < 1 or len(grid) != 3 or min(grid) < 1 or grid[1] % merge or grid[2] % merge:
        raise ValueError(f"grid: got {grid}, expected (frames, rows, columns), rows and columns multiples of merge={merge}.")
    return grid
