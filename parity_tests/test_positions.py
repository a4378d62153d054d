"""Positions for padding, packing and images, against counting by hand and transformers' own
code.
"""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rope_spec import (
    grid_positions,
    inverse_order,
    mrope_delta,
    mrope_positions,
    positions_from_cu_seqlens,
    positions_from_mask,
    positions_from_segments,
    striped_order,
    zigzag_order,
)


@pytest.mark.parametrize("pad", ["left", "right", "both"])
def test_a_mask_counts_real_tokens(pad, rng):
    for length in rng.integers(0, 9, 6):
        before = {"left": 8 - length, "right": 0, "both": (8 - length) // 2}[pad]
        mask = np.array([0] * before + [1] * length + [0] * (8 - length - before))
        expected = [0] * before + list(range(length)) + [0] * (8 - length - before)
        assert (
            positions_from_mask(mask).tolist()
            == positions_from_mask(mask == 1).tolist()
            == expected
        )


@pytest.mark.unchecked
def test_a_mask_of_floats_is_refused():
    """An additive one has 0 for real tokens."""
    with pytest.raises(TypeError, match="mask: got array.*, expected an array of integers"):
        positions_from_mask(np.array([[-np.inf, 0.0, 0.0]]))


def test_segments_count_from_their_start(rng):
    lengths, padding = rng.integers(1, 6, 9), 4
    ids = np.concatenate([np.repeat(np.arange(1, 10), lengths), np.zeros(padding, int)])
    expected = np.concatenate([*map(np.arange, lengths), np.zeros(padding, int)])
    assert positions_from_segments(ids[None]).tolist() == [expected.tolist()]
    assert positions_from_segments(np.array([[7, 7, 3, 3, 3, 7]]), padding=-1).tolist() == [
        [0, 1, 0, 1, 2, 0]
    ]
    assert positions_from_segments(np.zeros((2, 0), int)).shape == (2, 0)


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_zigzag_is_the_order_of_torch(ranks, rng):
    """Of torch's own head and tail balancer; of packed sequences each rank has its part of each."""
    module = pytest.importorskip(
        "torch.distributed.tensor.experimental._context_parallel._load_balancer"
    )
    theirs = lambda length: module._HeadTailLoadBalancer(length, ranks, "cpu")
    lengths = (2 * ranks * rng.integers(1, 6, 4)).tolist()
    for length in lengths:
        order = zigzag_order(length, ranks)
        assert order.tolist() == theirs(length)._generate_indices()[0].tolist()
        assert inverse_order(order).tolist() == theirs(length)._generate_indices(True)[0].tolist()
    starts = np.cumsum([0, *lengths])
    parts = [
        start + theirs(length)._generate_indices().numpy().reshape(ranks, -1)
        for start, length in zip(starts[:-1], lengths, strict=True)
    ]
    assert zigzag_order(starts, ranks).tolist() == np.concatenate(parts, axis=1).ravel().tolist()


def test_a_stripe_is_every_rth_token():
    assert striped_order(8, 2).tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    for ranks in (1, 3, 4):
        held = [token for rank in range(ranks) for token in range(24) if token % ranks == rank]
        assert striped_order(24, ranks).tolist() == held


@pytest.mark.parametrize("order", [striped_order(48, 4), zigzag_order(np.array([0, 16, 48]), 4)])
def test_an_order_and_its_inverse(order):
    """Of tokens and of M-RoPE's positions, whose rows are tokens."""
    positions = mrope_positions([20, (2, 4, 8), 12])
    assert (positions[order][inverse_order(order)] == positions).all()
    assert sorted(order.tolist()) == list(range(48)) and order.dtype == np.int32


def test_cu_seqlens_count_as_segments_do(rng):
    lengths = rng.integers(0, 6, 9)
    ids = np.repeat(np.arange(9), lengths)
    ours = positions_from_cu_seqlens(np.cumsum([0, *lengths]))
    assert ours.tolist() == positions_from_segments(ids, padding=-1).tolist()
    assert ours.dtype == np.int32


BAD_ORDERS = {
    "one chunk too many": (lambda: zigzag_order(12, 4), "multiples of 8. Pad each sequence"),
    "packed": (
        lambda: zigzag_order(np.array([0, 8, 14]), 2),
        r"sequences of \[8, 6\] tokens.* multiples of 4",
    ),
    "no rank": (lambda: striped_order(8, 0), "ranks: got 0 for sequences of .8. tokens"),
    "a stripe too long": (
        lambda: striped_order(10, 4),
        "ranks: got 4 for sequences of .10. tokens.* multiples of 4. Pad",
    ),
    "an index twice": (
        lambda: inverse_order(np.array([0, 2, 2])),
        r"order: got \[0 2 2\], expected each index from 0 to 2 once",
    ),
    "packed in two axes": (
        lambda: positions_from_cu_seqlens(np.array([[0, 4]])),
        r"cu_seqlens: got \[\[0 4\]\], expected non-decreasing integers",
    ),
    "beyond int32": (
        lambda: positions_from_cu_seqlens(np.array([0, 2**60])),
        "positions: got 0 to 1152921504606846976, expected numbers that int32",
    ),
    "axes first": (
        lambda: mrope_delta(np.zeros((3, 4), int)),
        r"mrope_delta: got positions of shape \(3, 4\), expected \(S, 3\)",
    ),
    "squares of nothing": (lambda: grid_positions((1, 2, 2), 0), "grid: got .* of merge=0"),
    "no rows": (lambda: grid_positions((1, 0, 2)), r"grid: got \(1, 0, 2\), expected"),
    "lengths": (lambda: positions_from_cu_seqlens(np.array([4, 4])), "integers that start at 0"),
    "falls": (
        lambda: positions_from_cu_seqlens(np.array([0, 4, 2])),
        r"From lengths: np.cumsum\(\[0",
    ),
    "empty": (lambda: positions_from_cu_seqlens(np.array([], int)), "cu_seqlens: got .., expected"),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("call, message", BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_orders_that_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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


IMAGE, VIDEO, START, TEXT = range(
    1, 5
)  # token ids; the first two are the kinds of transformers as well
MODELS = {
    "qwen2_vl": "Qwen2VLModel",
    "qwen2_5_vl": "Qwen2_5_VLModel",
    "qwen3_vl": "Qwen3VLModel",
    "qwen2_5_omni": "Qwen2_5OmniPreTrainedModelForConditionalGeneration",
}


def model_of(name, rate=1):
    """A model of transformers without weights, for its `get_rope_index`."""
    cls = getattr(
        importlib.import_module(f"transformers.models.{name}.modeling_{name}"), MODELS[name]
    )
    model = cls.__new__(cls)
    torch.nn.Module.__init__(model)
    vision = SimpleNamespace(spatial_merge_size=2, tokens_per_second=rate)
    model.config = SimpleNamespace(
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        audio_token_id=-1,
        audio_start_token_id=-1,
        position_id_per_seconds=rate,
        seconds_per_chunk=2,
        vision_config=vision,
    )
    model.spatial_merge_size = 2
    return model


def random_parts(rng, longest=6):
    """Texts with images, which have one frame, and videos, which have more; and an interval for
    each grid.
    """
    parts = [int(rng.integers(2, 9))]
    for _ in range(rng.integers(1, 6)):
        frames = int(rng.choice([1, rng.integers(2, longest + 1)]))
        parts += [(frames, *(2 * rng.integers(1, 9, 2)).tolist()), int(rng.integers(2, 9))]
    seconds = rng.choice([1 / 12, 2 / 25, 0.5, 1.0, *rng.uniform(0, 3, 4)], len(parts) // 2)
    return parts, np.float32(seconds).tolist()


def tokens_of(parts):
    """Token ids, the kind of each, and the grids of images and of videos; `START` ends the text
    before a grid.
    """
    ids = []
    for part in parts:
        if isinstance(part, int):
            ids += [TEXT] * (part - 1) + [START]
        else:
            ids += [IMAGE if part[0] == 1 else VIDEO] * (np.prod(part) // 4)
    ids = torch.tensor([ids[:-1] + [TEXT]])
    grids = [part for part in parts if not isinstance(part, int)]
    images, videos = [g for g in grids if g[0] == 1], [g for g in grids if g[0] > 1]
    return (
        ids,
        ids * (ids < START),
        torch.tensor(images) if images else None,
        torch.tensor(videos) if videos else None,
    )


def of_videos(parts, seconds):
    grids = [part for part in parts if not isinstance(part, int)]
    return torch.tensor([s for s, grid in zip(seconds, grids, strict=True) if grid[0] > 1])


def fits(parts, seconds, rate):
    """Whether the time of each video stays below its rows or columns, so that text goes on after
    those.
    """
    grids = [part for part in parts if not isinstance(part, int)]
    return all(
        int((g[0] - 1) * s * rate) < max(g[1:]) // 2 for g, s in zip(grids, seconds, strict=True)
    )


def expect_same(ours, theirs):
    assert ours.dtype == np.int32 and ours.tolist() == theirs[0][:, 0].T.tolist()
    assert mrope_delta(ours) == theirs[1].item()


def test_mrope_is_what_qwen2_vl_counts(rng):
    """Which counts frames; of 200 sequences those whose frames are fewer than rows or columns."""
    model, compared = model_of("qwen2_vl"), 0
    for parts, _ in (random_parts(rng) for _ in range(200)):
        if fits(parts, [1.0] * (len(parts) // 2), 1):
            ids, kinds, images, videos = tokens_of(parts)
            expect_same(mrope_positions(parts), model.get_rope_index(ids, kinds, images, videos))
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_mrope_is_what_qwen2_5_vl_counts(rate, rng):
    """Seconds, of which it takes one for each video, times a power of two."""
    model, compared = model_of("qwen2_5_vl", rate), 0
    for parts, seconds in (random_parts(rng) for _ in range(200)):
        if fits(parts, seconds, rate):
            ids, kinds, images, videos = tokens_of(parts)
            theirs = model.get_rope_index(ids, kinds, images, videos, of_videos(parts, seconds))
            expect_same(
                mrope_positions(parts, tokens_per_second=rate, second_per_grid=seconds), theirs
            )
            compared += 1
    assert compared > 50


def test_text_after_a_long_video():
    """The Qwen2.5-VL of transformers goes on after the rows, on numbers that the video has had;
    Omni does as we do.
    """
    parts, options = [3, (4, 4, 4), 3], {"tokens_per_second": 2, "second_per_grid": 1.0}
    ids, kinds, images, videos = tokens_of(parts)
    theirs = (
        model_of("qwen2_5_vl", 2)
        .get_rope_index(ids, kinds, images, videos, torch.tensor([1.0]))[0][:, 0]
        .T.numpy()
    )
    ours = mrope_positions(parts, **options)
    assert (ours[:-3] == theirs[:-3]).all() and ours[:-3].max() == 3 + 3 * 2
    assert theirs[-3:, 0].tolist() == [5, 6, 7] and ours[-3:, 0].tolist() == [10, 11, 12]


@pytest.mark.parametrize("rate", [2, 25])
def test_mrope_is_what_qwen2_5_omni_counts(rate, rng):
    """Seconds at its own rate, videos of any length, and text after the largest number."""
    model = model_of("qwen2_5_omni", rate)
    for parts, seconds in (random_parts(rng, longest=40) for _ in range(100)):
        ids, _, images, videos = tokens_of(parts)
        theirs = model.get_rope_index(
            ids, images, videos, second_per_grids=of_videos(parts, seconds)
        )
        expect_same(mrope_positions(parts, tokens_per_second=rate, second_per_grid=seconds), theirs)


def test_mrope_is_what_qwen3_vl_counts(rng):
    """It writes the time as text: each frame of a video is a grid of its own."""
    model = model_of("qwen3_vl")
    for _ in range(50):
        frames, texts = int(rng.integers(1, 6)), rng.integers(2, 9, 8).tolist()
        grid = (1, *(2 * rng.integers(1, 9, 2)).tolist())
        parts = [texts[0], *(part for text in texts[:frames] for part in (grid, text))]
        ids, kinds, _, _ = tokens_of(parts)
        videos = torch.tensor([(frames, *grid[1:])])
        expect_same(
            mrope_positions(parts), model.get_rope_index(ids, 2 * kinds, video_grid_thw=videos)
        )


def test_a_text_without_tokens_moves_nothing():
    """Between other parts, before all of them, and next to an image."""
    for parts in ([2, 3], [4], [1, (1, 4, 4), 2]):
        with_empty = [part for pair in zip([0] * len(parts), parts, strict=True) for part in pair]
        assert (mrope_positions(with_empty) == mrope_positions(parts)).all()


def test_mrope_delta_continues_a_prompt():
    prompt, answer = [4, (1, 8, 12), 3], 5
    positions = mrope_positions(prompt)
    whole = mrope_positions([*prompt[:-1], prompt[-1] + answer])
    index = np.arange(len(positions), len(whole))
    assert (whole[len(positions) :] == (index + mrope_delta(positions))[:, None]).all()
    assert mrope_delta(mrope_positions([7])) == mrope_delta(mrope_positions([])) == 0


@pytest.mark.parametrize(
    "call", [lambda: grid_positions((1, 3, 4), 2), lambda: mrope_positions([2, (1, 4, 5)])]
)
def test_a_grid_that_does_not_merge(call):
    with pytest.raises(
        ValueError,
        match=r"grid: got \(1, .*\), expected \(frames, rows, columns\), .* multiples of merge=2",
    ):
        call()


BAD_TIMES = {
    "an interval for each grid": (
        {"second_per_grid": [1.0, 1.0]},
        "got 2 intervals for 1 grids, expected one number for all",
    ),
    "back in time": (
        {"second_per_grid": -1.0},
        "got second_per_grid=-1.0 .* expected times from 0",
    ),
    "nan": (
        {"tokens_per_second": float("nan")},
        "tokens_per_second: got nan, expected a finite number",
    ),
    "infinite": (
        {"second_per_grid": float("inf")},
        "second_per_grid: got inf, expected a finite number",
    ),
    "beyond int32": (
        {"tokens_per_second": 2e9},
        "tokens_per_second=2000000000.0 for 3 frames, .* what int32 holds",
    ),
}


@pytest.mark.parametrize("options, message", BAD_TIMES.values(), ids=BAD_TIMES)
def test_times_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mrope_positions([2, (3, 4, 4)], **options)


@pytest.mark.unchecked
def test_intervals_that_are_lists_of_several_lengths():
    with pytest.raises(TypeError, match=r"second_per_grid: got \[1\], expected a number"):
        mrope_positions([(3, 4, 4), (3, 4, 4)], second_per_grid=[[1], [1, 2]])


def test_texts_that_are_refused():
    with pytest.raises(ValueError, match="tokens of a text: got -3, expected 0 to"):
        mrope_positions([2, -3])
    with pytest.raises(
        ValueError, match="positions: got 0 to 2147483651, expected numbers that int32 holds"
    ):
        mrope_positions([(3, 4, 4), 3], tokens_per_second=(2**30 - 1) * 1.0)
