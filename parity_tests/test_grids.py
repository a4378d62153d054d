"""Positions of the tokens of images and videos, against counting by hand. `test_diffusers.py`
compares with the classes, where diffusers is installed.
"""

import numpy as np

from rope_spec import (
    flux2_positions,
    flux_positions,
    grid_coordinates,
    lumina2_positions,
    mrope_positions,
    qwen_image_positions,
)


def test_the_last_axis_is_fastest():
    axes = np.arange(2), np.array([5, 7, 9]), np.array([-1.0, 1.0])
    expected = [[t, row, column] for t in axes[0] for row in axes[1] for column in axes[2]]
    assert grid_coordinates(*axes).tolist() == expected


def test_text_and_image():
    rows, columns, text = 2, 3, 4
    places = [(row, column) for row in range(rows) for column in range(columns)]
    flux = [(0, 0, 0)] * text + [(0, row, column) for row, column in places]
    flux2 = [(0, 0, 0, i) for i in range(text)] + [(0, row, column, 0) for row, column in places]
    lumina2 = [(i, 0, 0) for i in range(text)] + [(text, row, column) for row, column in places]
    for function, expected in (
        (flux_positions, flux),
        (flux2_positions, flux2),
        (lumina2_positions, lumina2),
    ):
        ours = function(text, rows, columns)
        assert ours.tolist() == list(map(list, expected)) and ours.dtype == np.int32


def test_images_around_zero():
    """Text begins at the largest half side, of all images; the number of frames does not count."""
    grids = [(1, 2, 3), (9, 4, 5)]
    side = {2: (-1, 0), 3: (-2, -1, 0), 4: (-2, -1, 0, 1), 5: (-3, -2, -1, 0, 1)}
    images = [
        [i + frame, row, column]
        for i, (frames, rows, columns) in enumerate(grids)
        for frame in range(frames)
        for row in side[rows]
        for column in side[columns]
    ]
    ours = qwen_image_positions(grids, 3)
    assert ours.tolist() == [*images, [2, 2, 2], [3, 3, 3], [4, 4, 4]] and ours.dtype == np.int32


def test_text_without_images_is_text():
    assert (qwen_image_positions([], 5) == mrope_positions([5])).all()
