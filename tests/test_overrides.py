"""One override taken apart."""

import pytest

from duogen.conftree import tree
from duogen.errors import UserError
from duogen.overrides import chosen, parse

FILES = tree()


@pytest.mark.parametrize(
    ("text", "prefix", "key", "value"),
    [
        ("seed=3", "", "seed", 3),
        ("optimizer.lr=1e-3", "", "optimizer.lr", 1e-3),
        ("+optimizer.amsgrad=true", "+", "optimizer.amsgrad", True),
        ("++optimizer.lr=2", "++", "optimizer.lr", 2),
        ("~optimizer.betas", "~", "optimizer.betas", None),
        ("penalty=[r1,r2]", "", "penalty", ["r1", "r2"]),
        ("+penalty=[r1]", "", "penalty", ["r1"]),
        ("experiment=null", "~", "experiment", None),
        ("run_dir=a=b,c", "", "run_dir", "a=b,c"),
    ],
)
def test_it_has_a_prefix_a_key_and_a_value(text, prefix, key, value):
    found = parse(text, FILES)
    assert (found.prefix, found.key, found.value) == (prefix, key, value)


def test_its_content_is_nested_as_in_a_file():
    assert parse("a.b.c=1", FILES).content == {"a": {"b": {"c": 1}}}
    assert parse("penalty@x=[r1]", FILES).group == "penalty"


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("seed", "seed: this is no override"),
        ("seed=1,2", "seed=1,2: several values are a sweep"),
        ("hydra.sweep.dir=x", "hydra.sweep.dir=x: Hydra is set up for sweeps alone"),
        ("generator=mpl", "generator=mpl: generator has no option 'mpl'"),
        ("~seed", "~seed: keys at the top stay"),
        ("trainer.max_epochs=3", "trainer.max_epochs=3: max_epochs does not serve players who take turns"),
    ],
)
def test_a_mistake_is_refused(text, given):
    with pytest.raises(UserError) as refused:
        parse(text, FILES)
    assert refused.value.given == given


def test_those_that_choose_options_are_told_from_those_that_set_values():
    given = [parse(text, FILES) for text in ("generator=mlp", "seed=1", "penalty=[r1]")]
    assert [one.key for one in chosen(given, FILES)] == ["generator", "penalty"]
