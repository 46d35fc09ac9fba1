import pickle

import numpy as np
import pytest

from duogen.errors import UserError
from duogen.ramp import Cosine, Cyclical, Linear, Ramp

STEPS = np.arange(31)


def values(ramp):
    return [ramp(int(step)) for step in STEPS]


def test_linear_equals_interpolation():
    ramp = Linear(first=2.0, last=-3.0, start=4, stop=14)
    np.testing.assert_allclose(values(ramp), np.interp(STEPS, [4, 14], [2.0, -3.0]), rtol=1e-12, atol=1e-12)


def test_cosine_equals_its_formula():
    ramp = Cosine(first=2.0, last=-3.0, start=4, stop=14)
    share = np.clip((STEPS - 4) / 10, 0, 1)
    np.testing.assert_allclose(values(ramp), -3.0 + 5.0 * (1 + np.cos(np.pi * share)) / 2, rtol=1e-12, atol=1e-12)
    assert ramp(9) == pytest.approx(-0.5)


def test_cyclical_rises_and_stays_in_each_period():
    ramp = Cyclical(first=0.0, last=4.0, period=8, rise=0.5)
    cycle = [0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0]
    assert values(ramp) == [*cycle, *cycle, *cycle, *cycle[:7]]


def test_cyclical_may_rise_all_the_period():
    assert [Cyclical(first=1.0, last=5.0, period=4, rise=1.0)(step) for step in range(6)] == [1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_ends_are_exact(kind):
    ramp = kind(first=0.6, last=0.1, start=3, stop=10)
    assert [ramp(0), ramp(3)] == [0.6, 0.6]
    assert [ramp(10), ramp(10**9)] == [0.1, 0.1]


@pytest.mark.parametrize("ramp", [Linear(0.0, 1.0, 2, 9), Cosine(0.0, 1.0, 2, 9), Cyclical(0.0, 1.0, 5, 0.6)])
def test_is_a_function_of_the_step_alone(ramp):
    assert isinstance(ramp, Ramp)
    forwards, backwards = values(ramp), [ramp(int(step)) for step in STEPS[::-1]]
    assert forwards == backwards[::-1]
    assert pickle.loads(pickle.dumps(ramp)) == ramp


@pytest.mark.parametrize("kind", [Linear, Cosine])
@pytest.mark.parametrize(("start", "stop"), [(5, 5), (5, 4), (-1, 4)])
def test_refuses_a_window_by_name(kind, start, stop):
    with pytest.raises(UserError, match=f"{kind.__name__}: start={start}, stop={stop}"):
        kind(first=0.0, last=1.0, start=start, stop=stop)


@pytest.mark.parametrize(
    ("change", "given"), [({"period": 0}, "period=0"), ({"rise": 0.0}, "rise=0.0"), ({"rise": 1.1}, "rise=1.1")]
)
def test_cyclical_refuses_its_range_by_name(change, given):
    with pytest.raises(UserError, match=f"Cyclical: {given}"):
        Cyclical(**{"first": 0.0, "last": 1.0, "period": 8, "rise": 0.5} | change)
