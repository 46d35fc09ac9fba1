import pytest

from duogen.errors import UserError
from duogen.networks.pyramid import doublings


@pytest.mark.parametrize(
    ("side", "count"),
    [(8, 2), (12, 2), (16, 2), (28, 2), (32, 3), (48, 3), (56, 3), (64, 4), (80, 4), (96, 4), (112, 4), (128, 5)],
)
def test_counts_the_doublings(side, count):
    assert doublings("Net", (2, side, side), "generator=mlp") == count


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 28, 32), (1, 4, 4), (1, 7, 7), (0, 8, 8), (1, 1, 8, 8)])
def test_refuses_in_the_name_of_the_network(shape):
    with pytest.raises(UserError) as caught:
        doublings("Net", shape, "generator=mlp")
    assert caught.value.given == f"Net: shape {shape}"
    assert "(C, H, H)" in caught.value.allowed
    assert caught.value.remedy.startswith("use generator=mlp,")


@pytest.mark.parametrize(("side", "near"), [(30, "28, 32, 24, 20"), (66, "64, 56, 80, 48"), (36, "32, 40, 28, 24")])
def test_names_the_nearest_sides_first(side, near):
    with pytest.raises(UserError, match=f"H of {near}, "):
        doublings("Net", (3, side, side), "generator=mlp")
