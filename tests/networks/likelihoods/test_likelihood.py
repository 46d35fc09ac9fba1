"""What holds of every likelihood, as its YAML builds it."""

import copy

import pytest
import torch
from omegaconf import OmegaConf

from duogen.conftree import conf_dir
from duogen.experiment.build import build
from duogen.resolvers import register

NAMES = sorted(path.stem for path in conf_dir().glob("likelihood/*.yaml"))
DENSITIES = {"continuous_bernoulli", "gaussian", "shared_gaussian", "learned_gaussian", "sigma_vae"}
SHAPES = [(1, 2, 5), (3, 2, 4), (7,)]
IMAGES = SHAPES[:2]
BATCHES = [(), (6,), (2, 6)]


def config(name, shape, **more):
    register()
    made = OmegaConf.merge(
        {"data": {"shape": list(shape)}, **more}, OmegaConf.load(conf_dir() / "likelihood" / f"{name}.yaml")
    )
    return OmegaConf.to_container(made, resolve=True)


def likelihood(name, shape, **more):
    return build(config(name, shape, **more)["likelihood"], ())


def numbers(made, shape, batch=(), scale=1.0, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = (*batch, made.outputs * shape[0], *shape[1:])
    return scale * torch.randn(size, generator=generator, dtype=dtype)


def examples(shape, batch=(6,), seed=0):
    """Of 256 levels in [-1, 1], the first and the last among them."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(256, (*batch, *shape), generator=generator)
    levels.flatten()[:2] = torch.tensor([0, 255])
    return levels / 127.5 - 1


def test_all_were_found():
    assert len(NAMES) == 8
    assert set(NAMES) >= DENSITIES


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_says_how_many_numbers_the_decoder_gives(name, shape):
    assert config(name, shape)["outputs"] == likelihood(name, shape).outputs


def test_levels_follow_the_data_where_it_declares_them():
    assert config("categorical", (1, 8, 8), grey_levels=17)["outputs"] == 17
    assert likelihood("gaussian", (1, 8, 8), grey_levels=17).level == 2 / 16
    assert likelihood("gaussian", (1, 8, 8)).level == 2 / 255


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_shapes(name, shape, batch, mode):
    made = likelihood(name, shape).train(mode)
    distribution = made(numbers(made, shape, batch))
    assert distribution.batch_shape == batch
    assert distribution.event_shape == shape
    value = made.prepared(examples(shape, batch))
    assert value.shape == (*batch, *shape)
    assert distribution.log_prob(value).shape == batch
    assert distribution.log_prob(value).isfinite().all()
    assert distribution.mean.shape == made.shown(distribution).shape == (*batch, *shape)
    assert distribution.sample(torch.Size([4, 3])).shape == (4, 3, *batch, *shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_examples_are_explained_one_by_one_by_every_draw(name, shape):
    made = likelihood(name, shape).eval()
    given, value = numbers(made, shape, (2, 6), dtype=torch.float64), made.prepared(examples(shape).double())
    together = made(given).log_prob(value)
    singly = [[made(given[k, n]).log_prob(value[n]).item() for n in range(6)] for k in range(2)]
    torch.testing.assert_close(together, torch.tensor(singly, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_value_stand_as_many_channels_apart(name, shape):
    image, vector = likelihood(name, shape).eval(), likelihood(name, (torch.Size(shape).numel(),)).eval()
    given, value = numbers(image, shape, (6,)), image.prepared(examples(shape))
    apart = given.unflatten(1, (image.outputs, shape[0])).flatten(2).flatten(1)
    torch.testing.assert_close(image(given).log_prob(value), vector(apart).log_prob(value.flatten(1)))


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_reads_black_as_0_where_a_value_is_a_probability(name):
    read = likelihood(name, (1, 2, 5)).inputs(torch.tensor([-1.0, 0.0, 1.0]))
    assert read.tolist() == ([0.0, 0.5, 1.0] if name.endswith("bernoulli") else [-1.0, 0.0, 1.0])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_an_image(name, shape, scale):
    made = likelihood(name, shape)
    shown = made.shown(made(numbers(made, shape, (6,), scale)))
    assert shown.abs().max() <= 1
    assert scale < 1e4 or shown.abs().max() > 0.9 or name in {"categorical", "discretised_logistic_mixture"}


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("extreme", [-1e4, 0.0, 1e4, None])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_the_extremes(name, extreme, value, mode):
    shape = (3, 2, 4)
    made = likelihood(name, shape).train(mode)
    given = numbers(made, shape, (5,), 1e4) if extreme is None else numbers(made, shape, (5,), 0.0) + extreme
    given.requires_grad_()
    distribution = made(given)
    log_prob = distribution.log_prob(made.prepared(torch.full((5, *shape), value)))
    assert log_prob.isfinite().all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), given, retain_graph=True)
    assert gradient.isfinite().all()
    (gradient,) = torch.autograd.grad(made.shown(distribution).sum(), given)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_number_and_every_parameter_receives_a_gradient(name, shape):
    made = likelihood(name, shape)
    given = numbers(made, shape, (6,)).requires_grad_()
    made(given).log_prob(made.prepared(examples(shape))).sum().backward()
    for tensor in (given, *made.parameters()):
        assert tensor.grad is not None
        assert (tensor.grad != 0).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_training_makes_an_example_more_likely(name, shape):
    made, value = likelihood(name, shape), examples(shape)
    given = torch.nn.Parameter(numbers(made, shape, (6,)))
    optimizer = torch.optim.Adam([given, *made.parameters()], 0.1)
    losses = []
    for _ in range(30):
        losses.append(-made(given).log_prob(made.prepared(value)).mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1 * torch.Size(shape).numel()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_drawn_is_of_the_default_generator(name):
    made = likelihood(name, (3, 2, 4))
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append((made.prepared(examples((3, 2, 4))), made(numbers(made, (3, 2, 4), (6,))).sample()))
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert torch.equal(drawn[0][0], drawn[2][0]) == (name not in DENSITIES)
    assert not torch.equal(drawn[0][1], drawn[2][1])


@pytest.mark.parametrize("name", NAMES)
def test_vectors_have_no_levels_and_get_no_noise(name):
    made = likelihood(name, (7,))
    assert made.level is None
    assert torch.equal(made.prepared(examples((7,))), made.prepared(examples((7,))))


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_level_is_as_wide_as_it_says(name, shape):
    made = likelihood(name, shape)
    assert (made.level is not None) == (name in DENSITIES)
    if made.level is None:
        return
    prepared = []
    for level in (99, 100):
        torch.manual_seed(0)
        prepared.append(made.prepared(torch.full((6, *shape), level / 127.5 - 1, dtype=torch.float64)))
    step = torch.full((6, *shape), made.level, dtype=torch.float64)
    torch.testing.assert_close(prepared[1] - prepared[0], step, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_builds_on_the_meta_device(name):
    made = copy.deepcopy(likelihood(name, (3, 2, 4)))
    made.load_state_dict(likelihood(name, (3, 2, 4)).state_dict())
    with torch.device("meta"):
        far = likelihood(name, (3, 2, 4))
        distribution = far(torch.empty(2, 6, 3 * far.outputs, 2, 4))
        assert distribution.log_prob(far.prepared(torch.empty(6, 3, 2, 4))).shape == (2, 6)
        assert far.shown(distribution).shape == (2, 6, 3, 2, 4)
