"""The command behind a sweep, as it can be given again."""

from pathlib import Path

import pytest

from duogen.sweep.call import CALL, Call


@pytest.mark.parametrize(
    ("config_dir", "allow", "expected"),
    [
        (None, (), ["data=ring", "seed=0,1"]),
        (Path("my conf"), (), ["data=ring", "seed=0,1", "--config-dir", "my conf"]),
        (None, ("a.", "b."), ["data=ring", "seed=0,1", "--allow", "a.", "--allow", "b."]),
    ],
)
def test_its_words_hold_its_options(config_dir, allow, expected):
    assert Call(("data=ring", "seed=0,1"), config_dir, allow, Path("/x"), "x", False).words == expected


def test_outside_a_sweep_there_is_none():
    with pytest.raises(LookupError):
        CALL.get()
