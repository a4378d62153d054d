"""Each planted fault is there, each right function is right, by complex numbers in float64."""

import re
from pathlib import Path

import numpy as np
import pytest

from parity_tests.planted import PAIRS, SINGLE, VOCABULARY, right
from parity_tests.planted.probes import calls, room_between, room_used
from parity_tests.planted.vocabulary import ENDS, NAMES
from rope_spec import inverse_frequencies, spec_from_config

CASES = SINGLE + PAIRS
RIGHT = 400


def named(case):
    return case.name


def test_as_many_as_promised():
    assert (len(SINGLE), len(PAIRS)) == (60, 60)
    assert len({case.name for case in CASES}) == 120
    assert sum(not case.hidden for case in PAIRS) >= 54


def test_every_fault_of_the_vocabulary_is_planted_and_no_other():
    planted = {name for case in CASES for reading in case.faults for name in reading}
    assert planted == set(NAMES)
    assert len(NAMES) == len(VOCABULARY)
    ends = {how for case in CASES for how in case.how.split("; ")} & set(ENDS)
    assert ends == set(ENDS)


@pytest.mark.parametrize("case", SINGLE, ids=named)
def test_wrong_beyond_the_room_of_a_right_function(case):
    assert max(room_used(case, made) for made in calls(case, case.factory)) > 2


@pytest.mark.parametrize("case", PAIRS, ids=named)
def test_each_of_two_faults_is_seen_beside_the_other_or_said_to_be_hidden(case):
    """Without one of the faults the function is another one, beyond the room of both."""
    both = calls(case, case.factory)
    assert max(room_used(case, made) for made in both) > 2
    for part, other in zip(case.parts, reversed(case.faults_of_parts), strict=True):
        alone = calls(case, part)
        seen = max(room_between(case, *made) for made in zip(both, alone, strict=True))
        is_hidden = any(reading <= case.hidden for reading in other)
        assert (seen <= 1) if is_hidden else (seen > 1.5), (other, seen)


def test_without_its_faults_each_program_is_right():
    """So what is wrong is the fault; a program stands once for each model and layout."""
    programs = {(case.rope, case.way, case.layout): case for case in CASES}
    for case in programs.values():
        used = max(room_used(case, made) for made in calls(case, case.sound))
        assert used <= 1, (case.name, case.way, used)


def test_shares_nothing_with_what_is_judged():
    for path in (Path(__file__).parent / "planted").glob("*.py"):
        assert not re.search(r"rope_(spec|jax|torch|parity)", path.read_text()), path


@pytest.mark.parametrize("start", range(0, RIGHT, 20))
def test_right_within_its_room(start):
    for seed in range(start, start + 20):
        case = right(seed)
        used = max(room_used(case, made) for made in calls(case, case.factory))
        assert used <= 1, (case.name, used)


def test_configs_mean_what_is_planted():
    """The trunk reads the same from the configs, so no fault lies in the config.

    A float64 power of theta and a logarithm are off by a few units; exponents are below 17.
    """
    for case in (*CASES, *map(right, range(RIGHT))):
        rope, spec = case.rope, spec_from_config(case.config, case.label)
        for length in (100, case.context) if spec.depends_on_length else (None,):
            found = inverse_frequencies(spec, length)
            np.testing.assert_allclose(rope.frequencies(length or 0), found.inv_freq, 1e-13)
            np.testing.assert_allclose(rope.factor, found.attention_factor, 1e-14)
        assert (rope.read, rope.write) == (spec.read, spec.write or spec.read), case.name
        assert rope.follows_length == spec.depends_on_length, case.name
        assert (rope.start, rope.sign, case.head_dim) == (spec.start, spec.sign, spec.head_dim)
        assert (rope.axis or (0,) * rope.pairs) == spec.pairs.axis, case.name


def test_a_reading_is_named_in_full():
    case = SINGLE[0]
    assert case.is_named_by({"layout_read", "layout_write"})
    assert not case.is_named_by({"layout_write"})
    assert case.invented({"layout_read", "theta"}) == {"theta"}
