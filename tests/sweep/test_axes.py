"""A sweep's command and its file taken apart, in every spelling that Hydra has."""

import shlex

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from duogen.conftree import tree
from duogen.errors import UserError
from duogen.loading import searching
from duogen.sweep import axes
from duogen.sweep.axes import Axes, spelled


@pytest.fixture(scope="module")
def parser():
    """One that knows the config tree, as a sweeper's does."""
    with searching(tree().folders):
        yield OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


@pytest.fixture
def read(parser):
    def read(*task, params=None, bundles=None):
        return axes.read(task, params or {}, bundles or {}, parser, tree())

    return read


def refused(action, *parts):
    with pytest.raises(UserError) as caught:
        action()
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "\n  allowed: " in str(caught.value)


@pytest.mark.parametrize(
    ("key", "expression", "expected"),
    [
        ("adversarial", "hinge,minimax", ["hinge", "minimax"]),
        ("adversarial", "choice(hinge,minimax)", ["hinge", "minimax"]),
        ("adversarial", "hinge,hinge,minimax", ["hinge", "minimax"]),
        ("generator.width", "range(3)", ["0", "1", "2"]),
        ("generator.width", "range(2,9,3)", ["2", "5", "8"]),
        ("generator.width", "sort(7,3,5)", ["3", "5", "7"]),
        ("generator.width", "sort(7,3,5,reverse=true)", ["7", "5", "3"]),
        ("optimizer.lr", "1e-3,0.5,tag(2)", None),
        ("optimizer.lr", "1e-3,0.5", ["0.001", "0.5"]),
        ("optimizer.lr", "tag(log,choice(1,2))", ["1", "2"]),
        ("name", "'a,b','c d'", ["'a,b'", "'c d'"]),
        ("name", 'x,"[y]"', ["x", '"[y]"']),
        ("penalty", "[r1],[r1,r2],[]", ["[r1]", "[r1,r2]", "[]"]),
        ("optimizer.betas", "[0.0,0.9],[0.5,0.999]", ["[0.0,0.9]", "[0.5,0.999]"]),
        ("generator.batch_norm", "true,false", ["True", "False"]),
        ("experiment", "null,ring", ["null", "ring"]),
        ("+optimizer.amsgrad", "true,false", ["True", "False"]),
    ],
)
def test_an_axis_is_spelt_as_hydra_spells_it(key, expression, expected, parser):
    if expected is None:
        refused(lambda: axes.values(key, expression, parser), f"{key}={expression}: this is no override")
    else:
        assert axes.values(key, expression, parser) == expected


def test_a_glob_takes_the_options_on_disk_in_order(parser):
    options = tree().options("turns")
    assert len(options) >= 3
    assert axes.values("turns", "glob(*)", parser) == options
    assert axes.values("+turns", "glob(*)", parser) == options
    assert axes.values("turns", "glob(*,exclude=solo)", parser) == [one for one in options if one != "solo"]
    kept = [one for one in options if one not in ("solo", "alternate")]
    assert axes.values("turns", "glob([*],exclude=[solo,alter*])", parser) == kept


@pytest.mark.parametrize(
    ("key", "expression", "named"),
    [
        ("optimizer.lr", "interval(0,1)", "hydra/sweeper=optuna"),
        ("optimizer.lr", "tag(log,interval(1e-5,1))", "no end of values"),
        ("optimizer.lr", "0.5", "no end of values"),
        ("turns", "glob(nothing*)", "matches nothing"),
        ("generator.width", "range(0)", "matches nothing"),
        ("turns", "a,[b", "this is no override"),
    ],
)
def test_what_a_grid_cannot_list_is_refused(key, expression, named, parser):
    refused(lambda: axes.values(key, expression, parser), f"{key}={expression}", named)


def test_a_command_is_taken_apart(read):
    found = read(
        "data=ring", "adversarial=hinge,minimax", "~optimizer.betas", "+optimizer.amsgrad=true,false", "seed=7"
    )
    assert found.fixed == ["data=ring", "~optimizer.betas"]
    assert dict(found.varied) == {"adversarial": "hinge,minimax", "+optimizer.amsgrad": "true,false"}
    assert list(found.seeds) == [7]
    assert found.space == {"adversarial": "hinge,minimax", "+optimizer.amsgrad": "true,false"}


def test_a_fixed_value_keeps_its_equals_signs_and_quotes(read):
    assert read("name='a=b,c'").fixed == ["name='a=b,c'"]


def test_the_command_takes_the_place_of_the_file(read):
    params = {"adversarial": "glob(*)", "generator.width": "8,16", "optimizer.lr": "0.1", "seed": "range(3)"}
    found = read("generator.width=4", "++adversarial=hinge,minimax", "seed=5,6", params=params)
    assert list(found.varied) == ["++adversarial"]
    assert found.fixed == ["generator.width=4", "optimizer.lr=0.1"]
    assert list(found.seeds) == [5, 6]


def test_what_a_file_varies_comes_first(read):
    found = read("generator.width=4,8", "adversarial=hinge,minimax", params={"adversarial": "glob(*)", "keep": "1,2"})
    assert list(found.varied) == ["adversarial", "keep", "generator.width"]


def test_a_file_may_give_single_values_of_any_kind(read):
    params = {"optimizer.amsgrad": True, "experiment": None, "optimizer.betas": [0.5, 0.9], "seed": 4}
    found = read(params=params)
    assert found.fixed == ["optimizer.amsgrad=true", "experiment=null", "optimizer.betas=[0.5,0.9]"]
    assert list(found.seeds) == [4]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (0, "0"),
        (1e-05, "1e-05"),
        ("a,b", "a,b"),
        (["r1", "r2"], "[r1,r2]"),
        ({"decay": None, "start": 3}, "{decay:null,start:3}"),
        ([[1, True], {}], "[[1,true],{}]"),
    ],
)
def test_a_value_of_a_file_is_written_as_an_override_writes_it(value, expected):
    assert spelled(value) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [0]),
        ("3", [3]),
        ("4,2,4", [4, 2]),
        ("range(3)", [0, 1, 2]),
        ("range(100,105,2)", [100, 102, 104]),
        ("choice(8)", [8]),
        ("sort(3,1,2)", [1, 2, 3]),
    ],
)
@pytest.mark.parametrize("prefix", ["", "++"])
def test_seeds_repeat_every_setting(given, expected, prefix, read):
    found = read(*([f"{prefix}seed={given}"] if given else []))
    assert list(found.seeds) == expected
    assert (list(found.fixed), dict(found.varied)) == ([], {})


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "-1",
        "1.0",
        "true",
        "null",
        "[1,x]",
        "[]",
        "0,x",
        "range(0)",
        "range(0,1,0.5)",
        "interval(0,3)",
        "glob(*)",
        "'1'",
    ],
)
def test_what_is_no_seed_is_refused(given, read):
    refused(lambda: read(f"seed={given}"), f"seed={given}", "whole numbers")


def test_a_grid_is_every_combination_the_first_axis_the_slowest(parser, read):
    found = read("adversarial=hinge,minimax", "generator.width=range(2,4)")
    assert [dict(one.names) for one in found.grid(parser)] == [
        {"adversarial": "hinge", "generator.width": "2"},
        {"adversarial": "hinge", "generator.width": "3"},
        {"adversarial": "minimax", "generator.width": "2"},
        {"adversarial": "minimax", "generator.width": "3"},
    ]
    assert list(found.grid(parser)[2].overrides) == ["adversarial=minimax", "generator.width=2"]


def test_nothing_that_varies_is_one_setting(parser, read):
    (setting,) = read("data=ring").grid(parser)
    assert (dict(setting.names), list(setting.overrides)) == ({}, [])


def test_bundles_vary_together_and_come_first(parser, read):
    bundles = {"small": {"generator.width": 8, "penalty": ["r1"]}, "large": {"generator.width": 64, "penalty": None}}
    found = read("adversarial=hinge,minimax", bundles=bundles)
    grid = found.grid(parser)
    assert [dict(one.names) for one in grid] == [
        {"setting": "small", "adversarial": "hinge"},
        {"setting": "small", "adversarial": "minimax"},
        {"setting": "large", "adversarial": "hinge"},
        {"setting": "large", "adversarial": "minimax"},
    ]
    assert list(grid[0].overrides) == ["generator.width=8", "penalty=[r1]", "adversarial=hinge"]
    assert list(grid[3].overrides) == ["generator.width=64", "penalty=null", "adversarial=minimax"]
    assert found.space == {"adversarial": "hinge,minimax", "settings": bundles}


@pytest.mark.parametrize("bundle", [3, None, "a=b", ["a=b"]])
def test_a_bundle_is_a_mapping(bundle, read):
    refused(lambda: read(bundles={"small": {"seed": 1}, "odd": bundle}), f"hydra.sweeper.settings.odd={bundle}")


@pytest.mark.parametrize("given", ["", "foo", "=3", "--lr", "a=[1", "seed=1\n", "a=,", "a=range()"])
def test_what_is_no_override_is_refused(given, read):
    refused(lambda: read("data=ring", given), "this is no override")


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("adversarial=hinge,minmax", "minimax"),
        ("adversarial=choice(hing,minimax)", "hinge"),
        ("+generator=mlp,dcgann", "dcgan"),
        ("turns=alternate,'sollo'", "solo"),
    ],
)
def test_an_unknown_option_is_refused_before_anything_is_composed(given, near, read, monkeypatch):
    monkeypatch.setattr("duogen.compose.compose", lambda *_: pytest.fail("composed"))
    refused(lambda: read(given), given.partition("=")[2], f"allowed: {near}")


@pytest.mark.parametrize(
    "given",
    [
        "generator=glob(*)",
        "experiment=null,ring",
        "penalty=[r1],[r1,r2]",
        "turns='solo',alternate",
        "generator.width=1,2",
    ],
)
def test_what_a_group_has_passes(given, read):
    assert list(read(given).varied) == [given.partition("=")[0]]


def test_axes_without_bundles_say_nothing_of_them():
    assert Axes((), {"a": "1,2"}, (0,), {}).space == {"a": "1,2"}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("seed", "write seed=VALUE"),
        ("seed=rnage(3)", "'seed=range(3)'"),
        ("optimizer.lr=tag(log,intervall(1e-5,1))", "'optimizer.lr=tag(log,interval(1e-5,1))'"),
    ],
)
def test_text_that_is_no_override_has_a_remedy(text, remedy):
    with pytest.raises(UserError) as caught:
        axes.parsed(text)
    assert remedy in caught.value.remedy


def test_text_that_needs_quotes_is_told_with_them():
    with pytest.raises(UserError) as caught:
        axes.parsed("name=a(b")
    (word,) = shlex.split(caught.value.remedy.partition(": ")[2])
    assert axes.parsed(word).value() == "a(b"


def test_a_list_of_seeds_is_meant_as_several(read):
    assert read("seed=[4,2]").seeds == (4, 2)
    assert read(params={"seed": [4, 2]}).seeds == (4, 2)


@pytest.mark.parametrize("given", [{"task": ["adversarial=[hinge,minimax]"]}, {"adversarial": ["hinge", "minimax"]}])
def test_a_list_of_which_one_would_stand_is_no_axis(given, read):
    refused(
        lambda: read(*given.pop("task", ()), params=given), "a run has one adversarial", "adversarial=hinge,minimax"
    )
    assert read("penalty=[r1,r2]").fixed == ["penalty=[r1,r2]"]
    assert read("penalty=[r1],[r1,r2]").varied == {"penalty": "[r1],[r1,r2]"}
