"""Positions for padded, packed and sharded sequences, images and videos, in NumPy; int32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, Shaped

from .checks import check_int32
from .values import MAX_POSITIONS, number, of_kind, whole

Grid = tuple[int, int, int]
Count = int | np.integer  # a number of tokens: a part that is text


def positions_from_mask(
    mask: Bool[np.ndarray, "... S"] | Integer[np.ndarray, "... S"],
) -> Int32[np.ndarray, "... S"]:
    """The index of each token among the real ones; 0 for padding, left or right.

    Args:
        mask: `(..., S)`, true or 1 for real tokens.

    Returns:
        int32 `(..., S)`.
    """
    real = _integers("mask", mask, "iub") != 0
    return np.where(real, np.cumsum(real, axis=-1) - 1, 0).astype(np.int32)


def positions_from_segments(
    segment_ids: Integer[np.ndarray, "... S"], padding: int = 0
) -> Int32[np.ndarray, "... S"]:
    """The index of each token within its segment, for sequences packed into one row.

    Args:
        segment_ids: integers `(..., S)`; a segment is a run of equal numbers.
        padding: the number that marks padding, whose positions are 0.

    Returns:
        int32 `(..., S)`.
    """
    segment_ids = _integers("segment_ids", segment_ids)
    padding = whole("padding", padding, least=-MAX_POSITIONS)
    length: int = segment_ids.shape[-1]
    index = np.arange(length)
    first = np.ones_like(segment_ids[..., :1], bool)
    is_start = np.concatenate([first, np.diff(segment_ids) != 0], axis=-1)
    start = np.maximum.accumulate(np.where(is_start, index, 0), axis=-1)
    return np.where(segment_ids == padding, 0, index - start).astype(np.int32)


def positions_from_cu_seqlens(
    cu_seqlens: Integer[np.ndarray, " _starts"],
) -> Int32[np.ndarray, " S"]:
    """The index of each token within its sequence, for sequences packed one after the other.

    Args:
        cu_seqlens: where each sequence starts, and the end of the last: 0, then sums of lengths.

    Returns:
        int32 `(S,)`.

    Raises:
        ValueError: the numbers do not start at 0, or one is smaller than the one before.
    """
    starts = _starts(cu_seqlens)
    index: Int64[np.ndarray, " S"] = np.arange(int(starts[-1]))
    return (index - np.repeat(starts[:-1], np.diff(starts))).astype(np.int32)


def zigzag_order(
    cu_seqlens: int | Integer[np.ndarray, " _starts"], ranks: int
) -> Int32[np.ndarray, " S"]:
    """The order of tokens for zigzag ring attention: every rank has the same causal work.

    Each sequence is cut into 2 R chunks, of which rank r holds the chunks r and 2 R - 1 - r.
    `tokens[order]`, cut into R equal parts, is what the ranks hold. `positions[order]` are their
    positions; for M-RoPE these are `(S, 3)`. `result[inverse_order(order)]` is in the order of the
    tokens again.

    Args:
        cu_seqlens: the length of one sequence, or the starts and the end of packed ones.
        ranks: R, the devices along which the sequence is sharded.

    Raises:
        ValueError: the length of a sequence is not a multiple of 2 R.

    Source:
        arXiv:2407.21783, section 3.3.2 (Llama 3's context parallelism).
    """
    starts, ranks = _starts(cu_seqlens), whole("ranks", ranks)
    _check_divides(np.diff(starts).tolist(), ranks, 2 * ranks)
    parts = [np.zeros((ranks, 0), np.int64)]  # for no sequences
    index: Int64[np.ndarray, " S"] = np.arange(int(starts[-1]))
    for sequence in np.split(index, starts[1:-1]):
        chunks = sequence.reshape(2 * ranks, -1)
        parts += [chunks[:ranks], chunks[: ranks - 1 : -1]]
    return np.concatenate(parts, axis=1).reshape(-1).astype(np.int32)


def striped_order(length: int, ranks: int) -> Int32[np.ndarray, " S"]:
    """The order of tokens of striped attention: rank r holds the tokens r, r + R, r + 2 R, ...

    It is used as `zigzag_order` is. Packed sequences are striped as one of their whole length.

    Raises:
        ValueError: the length is not a multiple of R.

    Source:
        arXiv:2311.09431 (Striped Attention).
    """
    length, ranks = whole("length", length), whole("ranks", ranks)
    _check_divides([length], ranks, ranks)
    return np.arange(length, dtype=np.int32).reshape(-1, ranks).T.reshape(-1)


def inverse_order(order: Integer[np.ndarray, " S"]) -> Int32[np.ndarray, " S"]:
    """The order that undoes another: `x[order][inverse_order(order)]` is x."""
    indices = _integers("order", order)
    if not np.array_equal(np.sort(indices), np.arange(indices.size)):
        raise ValueError(
            f"order: got {order}, expected each index from 0 to {indices.size - 1} once. Take it "
            "from zigzag_order or striped_order."
        )
    return np.argsort(indices).astype(np.int32)


def grid_positions(grid: Grid, merge: int = 1) -> Int32[np.ndarray, "S 2"]:
    """Row and column of each patch of a vision tower, frame by frame.

    Args:
        grid: frames, rows and columns of patches.
        merge: `spatial_merge_size`: the patches come in squares of this side, one square after the
            other, as in Qwen2-VL.

    Returns:
        int32 `(frames * rows * columns, 2)`.

    Raises:
        ValueError: rows or columns are not a multiple of `merge`.
    """
    merge = whole("merge", merge)
    frames, rows, columns = checked_grid(grid, merge)
    row, column = np.divmod(np.arange(rows * columns), columns)
    squares = np.stack([row, column], axis=-1).reshape(
        rows // merge, merge, columns // merge, merge, 2
    )
    return np.tile(squares.swapaxes(1, 2).reshape(-1, 2), (frames, 1)).astype(np.int32)


def mrope_positions(
    parts: Sequence[Count | Grid],
    merge: int = 2,
    *,
    tokens_per_second: float = 1.0,
    second_per_grid: float | Sequence[float] | Shaped[np.ndarray, "..."] = 1.0,
) -> Int32[np.ndarray, "S 3"]:
    """M-RoPE positions (time, row, column) of each token of a prompt with images and videos.

    A token of text, or of sound, has the same number on all three axes. The tokens of an image or
    video start where the text stopped, and each axis counts for itself. Frame t has the time
    `int(t * second_per_grid * tokens_per_second)`. Text goes on after the largest number so far.
    (Qwen2-VL and Qwen2.5-VL of transformers 5.24 leave time out of this maximum, Qwen2.5-Omni does
    not. Both agree while the time of a video stays below its rows or columns.)

    Args:
        parts: for each part, in order, the number of tokens of a text, or the grid `(T, H, W)` of
            patches of an image or video. Qwen3-VL writes the time as text: there each frame is a
            grid of its own.
        merge: the side of the square of patches that become one token.
        tokens_per_second: how much the time grows in a second: `tokens_per_second` of Qwen2.5-VL's
            vision_config (2 where published), `position_id_per_seconds` of Qwen2.5-Omni (25).
        second_per_grid: seconds from one frame of a grid to the next, one number for all grids or
            one for each. An image has one frame, so that any number will do. The default counts
            frames.

    Returns:
        int32 `(S, 3)`.

    Raises:
        ValueError: rows or columns are not a multiple of `merge`, there are not as many intervals
            as grids, an interval is negative or not finite, or a position does not fit in int32.

    Source:
        arXiv:2409.12191 (Qwen2-VL), arXiv:2502.13923 (Qwen2.5-VL), arXiv:2503.20215 (Qwen2.5-Omni).
    """
    of_kind("mrope_positions: parts", parts, list | tuple, "a list of texts and grids")
    merge, rate = whole("merge", merge), number("tokens_per_second", tokens_per_second)
    intervals = iter(_one_per_grid(second_per_grid, parts))
    start, tokens = 0, [np.zeros((0, 3), np.int64)]  # for no parts
    for part in parts:
        if isinstance(part, Count):
            axes = _text_tokens(whole("mrope_positions: tokens of a text", part))
        else:
            axes = _grid_tokens(checked_grid(part, merge), merge, next(intervals), rate)
        tokens.append(start + axes)
        start = int(tokens[-1].max(initial=start - 1)) + 1
    check_int32(0, start - 1)
    return np.concatenate(tokens).astype(np.int32)


def mrope_delta(positions: Integer[np.ndarray, "S 3"]) -> int:
    """The offset from the index of a token to its position, for text decoded after a prompt.

    Token n, counted from 0 with the prompt, has the position `n + mrope_delta(positions)` on all
    axes: `rope_deltas` of transformers.

    Args:
        positions: of the whole prompt `(S, 3)`, from `mrope_positions`.
    """
    positions = _integers("positions", positions)
    if positions.shape[1:] != (3,):
        raise ValueError(
            f"mrope_delta: got positions of shape {positions.shape}, expected (S, 3), those of "
            "one prompt. Call it for each row of a batch."
        )
    return (int(positions.max()) + 1 if positions.size else 0) - len(positions)


def _starts(cu_seqlens: int | Integer[np.ndarray, " _starts"]) -> Int64[np.ndarray, " _starts"]:
    is_one = isinstance(cu_seqlens, Count)
    starts = _integers("cu_seqlens", [0, whole("cu_seqlens", cu_seqlens)] if is_one else cu_seqlens)
    if starts.ndim != 1 or not starts.size or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        raise ValueError(
            f"cu_seqlens: got {cu_seqlens}, expected non-decreasing integers that start at 0: "
            "where each sequence starts, and the end of the last. From lengths: "
            "np.cumsum([0, *lengths])."
        )
    check_int32(0, int(starts[-1]))
    return starts.astype(np.int64)


def _integers(name: str, value: object, kinds: str = "iu") -> Shaped[np.ndarray, "..."]:
    """The value as an array; TypeError unless it holds integers, ValueError without an axis."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a list of rows that are not equally long
        array = np.array(None)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name}: got {value!r}, expected an array of integers. Cast it.")
    if array.ndim == 0:
        raise ValueError(f"{name}: got {value!r}, expected one or more axes. Add one.")
    return array


def _check_divides(lengths: list[int], ranks: int, parts: int) -> None:
    if ranks < 1 or any(length < 0 or length % parts for length in lengths):
        raise ValueError(
            f"ranks: got {ranks} for sequences of {lengths} tokens, expected 1 or "
            f"more, and lengths that are multiples of {parts}. Pad each sequence to that."
        )


def _text_tokens(count: int) -> Int64[np.ndarray, "S 3"]:
    return np.repeat(np.arange(count)[:, None], 3, axis=1)


def _one_per_grid(
    second_per_grid: float | Sequence[float] | Shaped[np.ndarray, "..."],
    parts: Sequence[Count | Grid],
) -> list[float]:
    grids = sum(not isinstance(part, Count) for part in parts)
    if isinstance(second_per_grid, (int, float, np.number)):
        return [number("second_per_grid", second_per_grid)] * grids
    of_kind("second_per_grid", second_per_grid, list | tuple | np.ndarray, "one number or several")
    is_array = isinstance(second_per_grid, np.ndarray)
    given: Any = second_per_grid.ravel() if is_array else second_per_grid
    intervals = [number("second_per_grid", interval) for interval in given]
    if len(intervals) != grids:
        raise ValueError(
            f"second_per_grid: got {len(intervals)} intervals for {grids} grids, expected one "
            "number for all, or one for each grid of parts. Give an image 1.0: it has one frame."
        )
    return intervals


def _grid_tokens(
    grid: Grid, merge: int, interval: float, tokens_per_second: float
) -> Int64[np.ndarray, "S 3"]:
    """Time, row and column from 0 on, the time in float32 products in the order of Qwen2.5-Omni.

    Qwen2.5-VL multiplies the interval by tokens_per_second first: the same for a power of two.
    """
    frames, rows, columns = grid
    longest = (frames - 1) * interval * tokens_per_second
    if not all(0 <= number < 2**31 for number in (interval, tokens_per_second, longest)):
        raise ValueError(
            f"mrope_positions: got second_per_grid={interval} and tokens_per_second="
            f"{tokens_per_second} for {frames} frames, expected times from 0 to what int32 holds. "
            "Give both in seconds, above 0."
        )
    times = (
        np.arange(frames, dtype=np.float32) * np.float32(interval) * np.float32(tokens_per_second)
    )
    axes = np.indices((frames, rows // merge, columns // merge)).reshape(3, -1).T
    axes[:, 0] = times.astype(np.int64)[axes[:, 0]]
    return axes


def checked_grid(grid: object, merge: int = 1) -> Grid:
    """Frames, rows and columns; ValueError where they are not multiples of `merge`."""
    given = grid.tolist() if isinstance(grid, np.ndarray) else grid
    sides = of_kind("grid", given, tuple | list, "(frames, rows, columns)")
    numbers = [whole("grid", side) for side in sides]
    if len(numbers) != 3 or min(merge, *numbers) < 1 or numbers[1] % merge or numbers[2] % merge:
        raise ValueError(
            f"grid: got {grid}, expected (frames, rows, columns), rows and columns multiples of "
            f"merge={merge}."
        )
    frames, rows, columns = numbers
    return frames, rows, columns
