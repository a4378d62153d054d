"""Positions of the tokens of images and videos for diffusion models and vision towers, in NumPy."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Real

from .positions import Grid

Axis = Real[np.ndarray, "_"]  # the coordinates along one axis


def grid_coordinates(*axes: Axis) -> Real[np.ndarray, "S A"]:
    """Every combination of the coordinates of A axes, the last axis fastest: `(S, A)`.

    Video of Wan or HunyuanVideo: `grid_coordinates(arange(frames), arange(rows), arange(columns))`.
    In Cosmos the first axis is `arange(frames) / fps * 24`; for CogVideoX, DINOv3 and EVA an axis
    is a `linspace` or `centred_coordinates`.
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def centred_coordinates(count: int) -> Float32[np.ndarray, " count"]:
    """The centres of `count` equal parts of the interval from -1 to 1. Source: DINOv3."""
    centres = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
    return np.float32(2) * centres - np.float32(1)


def flux_positions(text: int, rows: int, columns: int) -> Int32[np.ndarray, "S 3"]:
    """Text tokens at 0, then rows and columns on the last two axes, int32 `(S, 3)`."""
    image = grid_coordinates(np.arange(1), np.arange(rows), np.arange(columns))
    return np.concatenate([np.zeros((text, 3)), image]).astype(np.int32)


def flux2_positions(text: int, rows: int, columns: int) -> Int32[np.ndarray, "S 4"]:
    """Text tokens counted on the last axis, then time, rows and columns, int32 `(S, 4)`."""
    zero = np.arange(1)
    words = grid_coordinates(zero, zero, zero, np.arange(text))
    image = grid_coordinates(zero, np.arange(rows), np.arange(columns), zero)
    return np.concatenate([words, image]).astype(np.int32)


def lumina2_positions(text: int, rows: int, columns: int) -> Int32[np.ndarray, "S 3"]:
    """Text tokens counted on the first axis, where the image stands after them, int32 `(S, 3)`."""
    words = grid_coordinates(np.arange(text), np.arange(1), np.arange(1))
    image = grid_coordinates(np.array([text]), np.arange(rows), np.arange(columns))
    return np.concatenate([words, image]).astype(np.int32)


def qwen_image_positions(grids: Sequence[Grid], text: int) -> Int32[np.ndarray, "S 3"]:
    """Images whose middle is 0, one after the other in time, then text; int32 `(S, 3)`.

    Args:
        grids: frames, rows and columns of each image or video.
        text: the number of text tokens, which are counted on all axes from the largest half side.
    """
    images = [
        grid_coordinates(i + np.arange(frames), _centred(rows), _centred(columns))
        for i, (frames, rows, columns) in enumerate(grids)
    ]
    start = max((side // 2 for grid in grids for side in grid[1:]), default=0)
    words = np.repeat(np.arange(start, start + text)[:, None], 3, axis=1)
    return np.concatenate([*images, words]).astype(np.int32)


def _centred(count: int) -> Int32[np.ndarray, " count"]:
    """Whole numbers around 0, of which the longer half is negative."""
    return np.arange(count, dtype=np.int32) - (count - count // 2)
