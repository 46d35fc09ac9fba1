"""Search spaces: Hydra's spelling to distributions, drawn values back to overrides."""

import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from duogen.errors import UserError
from duogen.sweep.search.space import choices, fits, read, shrink, spell, unspell


def options(key: str) -> list[str]:
    return {"generator": ["dcgan", "mlp", "resnet"]}.get(key, [])


SPELLINGS = [
    ("interval(0,1)", FloatDistribution(0.0, 1.0)),
    ("tag(log, interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
    ("int(interval(1,8))", IntDistribution(1, 8)),
    ("tag(int, interval(1,8))", IntDistribution(1, 8)),
    ("tag(log, int(interval(2,64)))", IntDistribution(2, 64, log=True)),
    ("range(1,9)", IntDistribution(1, 8)),
    ("range(1,10,3)", IntDistribution(1, 7, step=3)),
    ("range(9,1,-2)", IntDistribution(3, 9, step=2)),
    ("range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
    ("choice(a,b,c)", CategoricalDistribution(["a", "b", "c"])),
    ("a,b,a", CategoricalDistribution(["a", "b"])),
    ("1,2.5,true", CategoricalDistribution(["1", "2.5", "true"])),
    ("[r1],[r1,r2]", CategoricalDistribution(["[r1]", "[r1,r2]"])),
    ("'a b','c,d'", CategoricalDistribution(["'a b'", "'c,d'"])),
    ("0.1", CategoricalDistribution(["0.1"])),
    (0.1, CategoricalDistribution(["0.1"])),
    (True, CategoricalDistribution(["true"])),
    ({"type": "float", "low": 0, "high": 2}, FloatDistribution(0.0, 2.0)),
    ({"type": "float", "low": 1, "high": 2, "log": True, "step": None}, FloatDistribution(1.0, 2.0, log=True)),
    ({"type": "float", "low": 0, "high": 1, "step": 0.5}, FloatDistribution(0.0, 1.0, step=0.5)),
    ({"type": "int", "low": 2, "high": 8, "step": 3}, IntDistribution(2, 8, step=3)),
    ({"type": "categorical", "choices": [1, "a", [2, 3]]}, CategoricalDistribution(["1", "a", "[2,3]"])),
]


@pytest.mark.parametrize(("spelling", "expected"), SPELLINGS, ids=[str(spelling) for spelling, _ in SPELLINGS])
def test_reads(spelling, expected):
    assert read({"a.b": spelling}, options) == {"a.b": expected}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("glob(*)", ["dcgan", "mlp", "resnet"]),
        ("glob(*,exclude=m*)", ["dcgan", "resnet"]),
        ("glob([d*,r*])", ["dcgan", "resnet"]),
    ],
)
def test_glob_is_a_choice_of_what_the_group_offers(spelling, expected):
    assert read({"generator": spelling}, options) == {"generator": CategoricalDistribution(expected)}
    assert choices("generator", spelling, options) == expected


@pytest.mark.parametrize(
    ("spelling", "expected"), [("range(100,103)", ["100", "101", "102"]), ("5", ["5"]), (7, ["7"])]
)
def test_choices_are_counted_out(spelling, expected):
    assert choices("seed", spelling, options) == expected


@pytest.mark.parametrize(
    ("spelling", "says"),
    [
        ("interval(1)", "interval(1)"),
        ("between(1,2)", "Unknown function 'between'"),
        ("interval(2,1)", "low <= high"),
        ("tag(log,interval(0,1))", "low > 0"),
        ("tag(lgo,interval(1,2))", "log, int"),
        ("range(3,3)", "holds nothing"),
        ("glob(x*)", "holds nothing"),
        ({"type": "flaot", "low": 0, "high": 1}, "float"),
        ({"low": 0}, "float"),
        ({"type": "int", "low": 0}, "high"),
        ({"type": "categorical"}, "choices"),
        ({"type": "float", "low": 0, "hihg": 1}, "high"),
        ({"type": "int", "low": "few", "high": 3}, "few"),
    ],
)
def test_refuses_in_three_parts(spelling, says):
    with pytest.raises(UserError) as error:
        read({"lr": spelling}, options)
    assert says in str(error.value)
    assert "lr" in error.value.given
    assert error.value.allowed
    assert error.value.remedy


def test_an_interval_cannot_be_counted_out():
    with pytest.raises(UserError, match="list the values"):
        choices("seed", "interval(0,1)", options)


def test_values_come_back_from_their_spelling_exactly():
    space = read({"lr": "interval(0,1)", "k": "range(1,9)", "penalty": "[r1],[r1,r2]"}, options)
    drawn = {"lr": 0.1 + 0.2, "k": 3, "penalty": "[r1,r2]"}
    assert spell(drawn) == {"lr": "0.30000000000000004", "k": "3", "penalty": "[r1,r2]"}
    assert unspell(space, spell(drawn)) == drawn
    assert fits(space, spell(drawn))


@pytest.mark.parametrize(
    "setting",
    [{"lr": "0.5"}, {"lr": "2.0", "k": "1"}, {"lr": "x", "k": "1"}, {"lr": "0.5", "k": "9"}, {"lr": "0.5", "k": "1.5"}],
)
def test_a_setting_of_another_space_is_refused(setting):
    space = read({"lr": "interval(0,1)", "k": "range(1,9)"}, options)
    assert not fits(space, setting)
    with pytest.raises(UserError, match="recorded"):
        unspell(space, setting)


@pytest.mark.parametrize(
    ("spelling", "best", "expected"),
    [
        ("interval(0,8)", "4.0", FloatDistribution(3.0, 5.0)),
        ("interval(0,8)", "0.5", FloatDistribution(0.0, 2.0)),
        ("interval(0,8)", "7.5", FloatDistribution(6.0, 8.0)),
        ("int(interval(0,16))", "5", IntDistribution(3, 7)),
        ("range(0,33,4)", "12", IntDistribution(8, 16, step=4)),
        ("range(0,1,0.1)", "0.3", FloatDistribution(0.2, 0.4, step=0.1)),
        ("a,b,c", "b", CategoricalDistribution(["b"])),
    ],
)
def test_shrinks_to_a_quarter_around_the_best(spelling, best, expected):
    found = shrink(read({"k": spelling}, options), {"k": best}, 0.25)["k"]
    if isinstance(expected, CategoricalDistribution):
        assert found == expected
    else:
        assert (found.low, found.high, found.step) == pytest.approx((expected.low, expected.high, expected.step))


def test_shrinks_in_the_logarithm():
    found = shrink(read({"lr": "tag(log,interval(1e-6,1e-2))"}, options), {"lr": "0.0001"}, 0.5)["lr"]
    assert isinstance(found, FloatDistribution)
    assert found.log
    assert (math.log10(found.low), math.log10(found.high)) == pytest.approx((-5.0, -3.0))


def test_shrinks_whole_numbers_in_the_logarithm():
    found = shrink(read({"width": "tag(log,int(interval(1,256)))"}, options), {"width": "16"}, 0.5)["width"]
    assert isinstance(found, IntDistribution)
    assert (found.low, found.high, found.log) == (4, 64, True)
