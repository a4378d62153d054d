"""Positions for padding, packing and images, against counting by hand and transformers' own code."""

import numpy as np
import pytest
import torch

from rope_spec import grid_positions, mrope_positions, positions_from_mask, positions_from_segments


@pytest.mark.parametrize("pad", ["left", "right", "both"])
def test_a_mask_counts_real_tokens(pad, rng):
    for length in rng.integers(0, 9, 6):
        before = {"left": 8 - length, "right": 0, "both": (8 - length) // 2}[pad]
        mask = np.array([0] * before + [1] * length + [0] * (8 - length - before))
        expected = [0] * before + list(range(length)) + [0] * (8 - length - before)
        assert positions_from_mask(mask).tolist() == positions_from_mask(mask == 1).tolist() == expected


def test_segments_count_from_their_start(rng):
    lengths, padding = rng.integers(1, 6, 9), 4
    ids = np.concatenate([np.repeat(np.arange(1, 10), lengths), np.zeros(padding, int)])
    expected = np.concatenate([*map(np.arange, lengths), np.zeros(padding, int)])
    assert positions_from_segments(ids[None]).tolist() == [expected.tolist()]
    assert positions_from_segments(np.array([[7, 7, 3, 3, 3, 7]]), padding=-1).tolist() == [[0, 1, 0, 1, 2, 0]]
    assert positions_from_segments(np.zeros((2, 0), int)).shape == (2, 0)


@pytest.mark.parametrize("grid, merge", [((1, 4, 6), 1), ((2, 4, 6), 2), ((1, 8, 8), 4)])
def test_a_grid_goes_square_by_square(grid, merge):
    frames, rows, columns = grid
    expected = [
        [r, c]
        for _ in range(frames)
        for top in range(0, rows, merge)
        for left in range(0, columns, merge)
        for r in range(top, top + merge)
        for c in range(left, left + merge)
    ]
    assert grid_positions(grid, merge).tolist() == expected


def test_mrope_is_what_qwen2_vl_counts():
    """Text, a picture, text, a video, text: against `get_rope_index` of transformers."""
    from transformers import Qwen2VLConfig
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

    config = Qwen2VLConfig(text_config={"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 4})
    parts = [5, (1, 8, 12), 3, (3, 4, 6), 2]
    kinds = [0, 1, 0, 2, 0]
    lengths = [part if isinstance(part, int) else np.prod(part) // 4 for part in parts]
    types = torch.tensor(np.repeat(kinds, lengths))[None]
    special = {1: config.image_token_id, 2: config.video_token_id}
    ids = torch.tensor([special.get(int(kind), 7) for kind in types[0]])[None]
    with torch.device("meta"):
        model = Qwen2VLModel.__new__(Qwen2VLModel)
        torch.nn.Module.__init__(model)
        model.config = config
    grids = torch.tensor([parts[1]]), torch.tensor([parts[3]])
    theirs, _ = model.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=grids[0], video_grid_thw=grids[1])
    assert mrope_positions(parts).tolist() == theirs[:, 0].T.tolist()


@pytest.mark.parametrize("call", [lambda: grid_positions((1, 3, 4), 2), lambda: mrope_positions([2, (1, 4, 5)])])
def test_a_grid_that_does_not_merge(call):
    with pytest.raises(ValueError, match=r"grid: got \(1, .*\), expected \(frames, rows, columns\), .* multiples of merge=2"):
        call()
