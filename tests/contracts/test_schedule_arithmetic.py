"""The arithmetic of turns against brute force, without a network."""

import itertools

import pytest

from duogen.errors import UserError
from duogen.experiment.resolve import steps_for
from duogen.modules.turns import Alternate, Turn

GRID = [
    Turn("p", every=every, accumulate=accumulate, start=start, until=until)
    for every, accumulate, start, until in itertools.product((1, 2, 3, 5), (1, 3, 4), (0, 4), (None, 7, 16))
]


def simulated(turn: Turn, steps: int) -> tuple[list[int], int]:
    """The steps at which a turn acts, and its optimizer steps, by walking."""
    acted, window, updates = [], 0, 0
    for step in range(steps):
        if turn.due(step):
            acted.append(step)
            window += 1
            if window == turn.accumulate or turn.closes(step):
                window, updates = 0, updates + 1
    return acted, updates


def test_the_grid_is_there():
    assert len(GRID) == 72


@pytest.mark.parametrize("turn", GRID, ids=str)
def test_acts_and_updates_equal_a_walk(turn):
    for steps in range(30):
        acted, updates = simulated(turn, steps)
        assert (turn.acts(steps), turn.updates(steps)) == (len(acted), updates)


def test_five_to_one_is_discriminator_every_batch_generator_every_fifth():
    generator = Turn("generator", every=5)
    assert [step for step in range(20) if generator.due(step)] == [4, 9, 14, 19]
    late = Turn("generator", every=5, start=3)
    assert [step for step in range(20) if late.due(step)] == [7, 12, 17]


@pytest.mark.parametrize("turns", list(itertools.combinations(GRID[::5], 2)), ids=lambda pair: "")
def test_gaps_are_found_where_a_walk_finds_them(turns):
    schedule = Alternate(a=turns[0], b=turns[1])
    for steps in (1, 6, 29):
        unplayed = [step for step in range(steps) if not any(turn.due(step) for turn in turns)]
        assert schedule.gaps(steps) == (unplayed[0] if unplayed else None)


def test_steps_for_a_number_of_updates_is_the_smallest():
    for turn in GRID:
        schedule = Alternate(a=turn)
        reachable = schedule.updates(10_000)["p"] if turn.until else 9
        for updates in range(1, min(reachable, 9) + 1):
            steps = steps_for(schedule, "p", updates)
            assert schedule.updates(steps)["p"] >= updates > schedule.updates(steps - 1)["p"]


def test_updates_beyond_a_players_phases_are_refused():
    with pytest.raises(UserError, match=r"budget\.updates\.p=4"):
        steps_for(Alternate(a=Turn("p", until=3)), "p", 4)


@pytest.mark.parametrize(
    "numbers", [{"every": 0}, {"accumulate": 0}, {"clip": 0.0}, {"clip": -1.0}, {"start": -1}, {"start": 5, "until": 5}]
)
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(UserError, match="out of range"):
        Turn("p", **numbers)


def test_no_turn_at_all_is_refused():
    with pytest.raises(UserError, match="turns is empty"):
        Alternate()
