"""The spelling of phases and of compared options."""

import pytest

from duogen.errors import UserError
from duogen.sweep.search.phases import Phase, read_compared, read_phases


def options(key):
    return ["hinge", "minimax", "wasserstein"]


WIDE = {"name": "wide", "n_trials": 20}


def test_reads_phases():
    nodes = [WIDE, {"name": "narrow", "n_trials": 10, "shrink": 0.25}, {"name": "final", "seeds": "range(100,103)"}]
    assert read_phases(nodes, options) == [
        Phase("wide", 20),
        Phase("narrow", 10, 0.25),
        Phase("final", seeds=[100, 101, 102]),
    ]


@pytest.mark.parametrize(("seeds", "expected"), [("3,5", [3, 5]), ([7, 8], [7, 8]), (4, [4]), (None, None)])
def test_reads_seeds(seeds, expected):
    assert read_phases([{**WIDE, "seeds": seeds}], options)[0].seeds == expected


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "begin with a search"),
        ([{"name": "final", "seeds": "range(3)"}], "begin with a search"),
        ([{"name": "narrow", "n_trials": 3, "shrink": 0.5}], "begin with a search"),
        ([{"n_trials": 3}], "name: wide"),
        ([{**WIDE, "n_trails": 3}], "n_trials"),
        ([WIDE, WIDE], "rename"),
        ([WIDE, {"name": "final"}], "without n_trials"),
        ([WIDE, {"name": "final", "seeds": [1]}, {"name": "more", "n_trials": 2}], "phase final"),
        ([WIDE, {"name": "narrow", "n_trials": 3, "shrink": 1.5}], "0 < shrink <= 1"),
        ([WIDE, {"name": "narrow", "n_trials": 3, "shrink": "half"}], "0 < shrink <= 1"),
        ([{"name": "wide", "n_trials": 0}], "n_trials=0"),
        ([{"name": "wide", "n_trials": "many"}], "n_trials=many"),
        ([{**WIDE, "seeds": "few"}], "whole numbers"),
    ],
)
def test_refuses(nodes, says):
    with pytest.raises(UserError, match=says):
        read_phases(nodes, options)


def test_reads_combinations():
    assert read_compared({}, options) == [{}]
    nodes = {"adversarial": "minimax,hinge", "penalty": "[r1],[]"}
    assert read_compared(nodes, options) == [
        {"adversarial": "minimax", "penalty": "[r1]"},
        {"adversarial": "minimax", "penalty": "[]"},
        {"adversarial": "hinge", "penalty": "[r1]"},
        {"adversarial": "hinge", "penalty": "[]"},
    ]
    assert len(read_compared({"adversarial": "glob(*)"}, options)) == 3
