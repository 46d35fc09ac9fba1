import pytest

from duogen.sweep.naming import brief, label, short


def test_a_key_is_called_by_its_last_part_where_that_is_one():
    assert short(["generator", "optimizer.lr"]) == {"generator": "generator", "optimizer.lr": "lr"}
    both = ["generator.width", "discriminator.width", "seed"]
    assert short(both) == {"generator.width": "generator.width", "discriminator.width": "discriminator.width",
                           "seed": "seed"}  # fmt: skip
    rates = ["optimizers.discriminator.lr", "optimizers.generator.lr", "lr"]
    assert list(short(rates).values()) == ["discriminator.lr", "generator.lr", "lr"]


def test_a_label_ends_with_the_seed():
    assert label({}, 3) == "seed=3"
    assert label({"generator": "mlp", "optimizer.lr": "1e-3"}, 0) == "generator=mlp,lr=1e-3,seed=0"
    assert label({"optimizer.lr": "0.00035004145553740775"}, 1) == "lr=0.00035,seed=1"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0.00035004145553740775", "0.00035"),
        ("1.974726997718624e-05", "1.975e-05"),
        ("-12345.678912", "-1.235e+04"),
        ("1e-3", "1e-3"),
        ("0.0001", "0.0001"),
        ("0.123456", "0.123456"),
        ("3.0e-4", "3.0e-4"),
        ("123456789", "123456789"),
        ("[0.0,0.999]", "[0.0,0.999]"),
        ("hinge", "hinge"),
    ],
)
def test_a_drawn_number_has_four_digits_and_what_people_wrote_stays(value, told):
    assert brief(value) == told
