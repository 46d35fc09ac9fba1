from duogen.errors import UserError, nearest


def test_an_error_has_three_parts_on_three_lines():
    error = UserError("lr=fast", "numbers", "give lr a number")
    assert str(error) == "lr=fast\n  allowed: numbers\n  do: give lr a number"
    assert (error.given, error.allowed, error.remedy) == error.args
    assert isinstance(error, ValueError)


def test_the_nearest_name_comes_first_and_the_others_follow_in_order():
    options = ["wasserstein", "minimax", "hinge", "least_squares"]
    assert nearest("hing", options) == ["hinge", "least_squares", "minimax", "wasserstein"]
    assert nearest("minmax", options)[0] == "minimax"


def test_no_option_is_lost_or_doubled():
    assert nearest("zzz", ["b", "a", "b"]) == ["a", "b"]
    assert sorted(nearest("abcd", ["abce", "abcf", "abcg", "abch", "x"])) == ["abce", "abcf", "abcg", "abch", "x"]
    assert nearest("a", []) == []
    assert nearest("a", {"a": 1, "b": 2}) == ["a", "b"]
