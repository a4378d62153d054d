"""Positions of the tokens of images and videos for diffusion models and vision towers, in NumPy."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64, Real

from .positions import Grid, checked_grid
from .values import of_kind, positive, whole

Axis = Real[np.ndarray, "_"]  # the coordinates along one axis


def grid_coordinates(*axes: Axis) -> Real[np.ndarray, "S A"]:
    """Every combination of the coordinates of A axes, the last axis fastest: `(S, A)`.

    Video of Wan or HunyuanVideo: `grid_coordinates(arange(frames), arange(rows), arange(columns))`.
    In Cosmos the first axis is `arange(frames) / fps * 24`; for DINOv3 and EVA an axis is a
    `linspace` or `centred_coordinates`.
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def centred_coordinates(count: int) -> Float32[np.ndarray, " count"]:
    """The centres of `count` equal parts of the interval from -1 to 1. Source: DINOv3."""
    centres = (_counted("count", count).astype(np.float32) + np.float32(0.5)) / np.float32(count)
    return np.float32(2) * centres - np.float32(1)


def cogvideox_coordinates(
    frames: int, rows: int, columns: int, trained: tuple[int, int] = (30, 45)
) -> Float32[np.ndarray, "S 3"]:
    """Frames, rows and columns of CogVideoX 1.0, on the grid that it was trained on.

    The image is centred on that grid, as large as it fits. As in diffusers, its rows run from the
    start of that region to `1 - 1 / rows` times its end, and its columns likewise.

    Args:
        frames: of the latent video.
        rows: of patches.
        columns: of patches.
        trained: rows and columns of the grid that the model was trained on.
    """
    sides = checked_grid((frames, rows, columns))[1:]
    limits = checked_grid((1, *of_kind("trained", trained, tuple | list, "(rows, columns)")))[1:]
    i = int(sides[0] * limits[1] <= limits[0] * sides[1])  # the axis that fills the grid
    sizes = [round(limits[i] / sides[i] * side) for side in sides]
    sizes[i] = limits[i]
    starts = [round((limit - size) / 2) for limit, size in zip(limits, sizes, strict=True)]
    axes = [
        np.linspace(start, (start + size) * (side - 1) / side, side)
        for start, size, side in zip(starts, sizes, sides, strict=True)
    ]
    return grid_coordinates(_counted("frames", frames), *axes).astype(np.float32)


def ltx_coordinates(
    frames: int, rows: int, columns: int, fps: float = 25.0
) -> Float32[np.ndarray, "S 3"]:
    """Frames, rows and columns of LTX-Video, where -1 to 1 are 20 seconds and 2048 pixels.

    A frame of the latent video is 8 pictures, a row or column 32 pixels.
    """
    scales = (8 / positive("fps", fps) / 20, 32 / 2048, 32 / 2048)
    sides = checked_grid((frames, rows, columns))
    axes = (np.arange(side) * scale * 2 - 1 for side, scale in zip(sides, scales, strict=True))
    return grid_coordinates(*axes).astype(np.float32)


def flux_positions(text_tokens: int, rows: int, columns: int) -> Int32[np.ndarray, "S 3"]:
    """Text tokens at 0, then rows and columns on the last two axes, int32 `(S, 3)`."""
    image = grid_coordinates(ZERO, _counted("rows", rows), _counted("columns", columns))
    words = np.zeros((whole("text_tokens", text_tokens), 3))
    return np.concatenate([words, image]).astype(np.int32)


def flux2_positions(text_tokens: int, rows: int, columns: int) -> Int32[np.ndarray, "S 4"]:
    """Text tokens counted on axis 3, then an image by row and column on axes 1 and 2."""
    words = grid_coordinates(ZERO, ZERO, ZERO, _counted("text_tokens", text_tokens))
    image = grid_coordinates(ZERO, _counted("rows", rows), _counted("columns", columns), ZERO)
    return np.concatenate([words, image]).astype(np.int32)


def lumina2_positions(text_tokens: int, rows: int, columns: int) -> Int32[np.ndarray, "S 3"]:
    """Text tokens counted on the first axis, where the image stands after them, int32 `(S, 3)`."""
    words = grid_coordinates(_counted("text_tokens", text_tokens), ZERO, ZERO)
    time = np.array([whole("text_tokens", text_tokens)])
    image = grid_coordinates(time, _counted("rows", rows), _counted("columns", columns))
    return np.concatenate([words, image]).astype(np.int32)


def qwen_image_positions(grids: Sequence[Grid], text_tokens: int) -> Int32[np.ndarray, "S 3"]:
    """Images whose middle is 0, one after the other in time, then text; int32 `(S, 3)`.

    Args:
        grids: frames, rows and columns of each image or video.
        text_tokens: how many; they are counted on all axes from the largest half side.
    """
    given = of_kind("grids", grids, Sequence, "a list of (frames, rows, columns)")
    checked = [checked_grid(grid) for grid in given]
    images = [
        grid_coordinates(i + np.arange(frames), _centred(rows), _centred(columns))
        for i, (frames, rows, columns) in enumerate(checked)
    ]
    start = max((side // 2 for grid in checked for side in grid[1:]), default=0)
    words = np.repeat(start + _counted("text_tokens", text_tokens)[:, None], 3, axis=1)
    return np.concatenate([*images, words]).astype(np.int32)


ZERO = np.arange(1)


def _counted(name: str, count: int) -> Int64[np.ndarray, " count"]:
    return np.arange(whole(name, count))


def _centred(count: int) -> Int32[np.ndarray, " count"]:
    """Whole numbers around 0, of which the longer half is negative."""
    return np.arange(count, dtype=np.int32) - (count - count // 2)
