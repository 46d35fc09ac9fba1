from duogen.sweep.naming import label, short


def test_a_key_is_called_by_its_last_part_where_that_is_one():
    assert short(["generator", "optimizer.lr"]) == {"generator": "generator", "optimizer.lr": "lr"}
    both = ["generator.width", "discriminator.width", "seed"]
    assert short(both) == {"generator.width": "generator.width", "discriminator.width": "discriminator.width",
                           "seed": "seed"}  # fmt: skip


def test_a_label_ends_with_the_seed():
    assert label({}, 3) == "seed=3"
    assert label({"generator": "mlp", "optimizer.lr": "1e-3"}, 0) == "generator=mlp,lr=1e-3,seed=0"
