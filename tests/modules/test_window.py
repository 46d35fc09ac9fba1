import pytest
import torch

from duogen.modules.window import CHUNK, GradientWindow, LogWindow


def same(vector):
    return vector


def test_means_are_sums_over_counts_across_chunks():
    window = LogWindow()
    for step in range(1, 2 * CHUNK + 8):
        window.add("train/generator/a", torch.tensor(float(step)), 4, step)
    window.add("train/generator/b", torch.tensor(6.0), torch.tensor(3), 9)
    means = window.means(same)
    last = 2 * CHUNK + 7
    assert means.values == pytest.approx({"train/generator/a": (last + 1) / 8, "train/generator/b": 2.0})
    assert means.bad is None
    window.clear()
    assert window.means(same).values == {}


def test_reading_twice_gives_the_same():
    window = LogWindow()
    window.add("train/generator/a", torch.tensor(3.0), 2, 1)
    assert window.means(same) == window.means(same)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_first_bad_value_is_named_by_step_and_then_by_order(bad):
    window = LogWindow()
    for step in range(1, CHUNK + 20):
        value = bad if step >= CHUNK + 3 else 1.0
        window.add("train/generator/z", torch.tensor(value), 1, step)
        window.add("train/discriminator/a", torch.tensor(value), 1, step)
    assert window.means(same).bad == ("train/generator/z", CHUNK + 3)


def test_a_window_continues_from_its_state():
    whole, first = LogWindow(), LogWindow()
    for step in range(1, 6):
        for window in (whole, first):
            window.add("train/generator/a", torch.tensor(0.1 * step), 3, step)
    second = LogWindow()
    second.load_state_dict(first.state_dict())
    for step in range(6, 9):
        for window in (whole, second):
            window.add("train/generator/a", torch.tensor(0.1 * step), 3, step)
    assert second.means(same) == whole.means(same)


def test_gradients_of_a_window_return_where_they_were_and_leave_again():
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    window = GradientWindow()
    window.open(parameters)
    (2 * parameters[0]).sum().backward()
    window.add(4)
    window.close(parameters)
    assert [parameter.grad for parameter in parameters] == [None, None]
    window.open(parameters)
    assert parameters[0].grad.tolist() == [2, 2]
    window.add(4)
    assert (window.acts, window.count) == (2, 8)
    window.empty()
    window.close(parameters)
    assert (window.acts, window.count, window.gradients) == (0, None, [])
