import pytest

from duogen.errors import UserError, nearest


def test_an_error_says_what_was_given_what_is_allowed_and_what_to_do():
    error = UserError("x=3 in conf", "1, 2", "write x=2")
    assert str(error).splitlines() == ["x=3 in conf", "  allowed: 1, 2", "  do: write x=2"]
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("name", "first"), [("hing", "hinge"), ("wasserstien", "wasserstein"), ("minmax", "minimax"), ("zzz", "hinge")]
)
def test_the_nearest_name_comes_first_and_none_is_lost(name, first):
    options = ["wasserstein", "minimax", "hinge", "least_squares"]
    found = nearest(name, options)
    assert found[0] == first
    assert sorted(found) == sorted(options)


def test_names_are_given_once():
    assert nearest("a", ["b", "a", "b"]) == ["a", "b"]
