import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.objectives.penalties import Play
from duogen.objectives.rendering import FeatureMatching, PathLength

N, Z, S = 6, 3, 4
SHAPE = (2, 3, 5)
PIXELS = 30


def play(**given):
    parts = dict.fromkeys(Play.__dataclass_fields__, None) | {"step": 0, "noise": torch.randn(N, Z).double()}
    return Play(**parts | given)


def test_feature_matching_is_the_squared_distance_of_means():
    matrix = torch.randn(5, 7, dtype=torch.float64)
    real, fake = torch.randn(N, 5, dtype=torch.float64), torch.randn(N, 5, dtype=torch.float64)
    turn = play(real=real, fake=fake, features=lambda x: (x @ matrix).tanh())
    means = [np.tanh(x.numpy() @ matrix.numpy()).mean(0) for x in (real, fake)]
    value = FeatureMatching(weight=1.0).generator(turn)
    assert value.shape == ()
    np.testing.assert_allclose(value, ((means[0] - means[1]) ** 2).sum(), rtol=1e-12)
    assert FeatureMatching(weight=1.0).discriminator(turn) is None


def test_feature_matching_reaches_the_generated_examples_alone():
    real, fake = torch.randn(N, 5, requires_grad=True), torch.randn(N, 5, requires_grad=True)
    FeatureMatching(weight=1.0).generator(play(real=real, fake=fake, features=torch.tanh)).backward()
    assert real.grad is None
    assert fake.grad is not None
    assert fake.grad.any()


def linear(matrix):
    """A picture that is a linear map of the style."""
    return lambda styles: (styles @ matrix).unflatten(1, SHAPE)


def direction():
    torch.manual_seed(4)
    return torch.randn(N, *SHAPE, dtype=torch.float64).flatten(1).numpy() / np.sqrt(3 * 5)


def test_path_lengths_of_a_linear_map_without_mapping():
    matrix = torch.randn(Z, PIXELS, dtype=torch.float64)
    lengths = np.linalg.norm(direction() @ matrix.numpy().T, axis=1)
    penalty = PathLength(weight=2.0, decay=0.75)
    penalty.double().follow(torch.tensor(8.0, dtype=torch.float64))
    turn = play(styles=lambda noise: noise, render=linear(matrix))
    torch.manual_seed(4)
    watched = penalty.generator(turn)
    np.testing.assert_allclose(watched.value, lengths, rtol=1e-12)
    np.testing.assert_allclose(watched.term.detach(), (lengths - 2) ** 2, rtol=1e-12)
    assert not watched.value.requires_grad


def test_path_lengths_of_a_curved_map_are_taken_at_the_style():
    first, last = torch.randn(Z, S, dtype=torch.float64), torch.randn(S, PIXELS, dtype=torch.float64)
    turn = play(styles=lambda noise: noise @ first, render=lambda w: (w.square() @ last).unflatten(1, SHAPE))
    styles = (turn.noise @ first).numpy()
    lengths = np.linalg.norm(2 * styles * (direction() @ last.numpy().T), axis=1)
    torch.manual_seed(4)
    np.testing.assert_allclose(PathLength(weight=2.0, decay=0.9).generator(turn).value, lengths, rtol=1e-12)


def test_packed_pictures_share_a_term():
    matrix = torch.randn(Z, PIXELS, dtype=torch.float64)
    turn = play(styles=lambda noise: noise, render=lambda w: linear(matrix)(w).unflatten(0, (-1, 2)).flatten(1, 2))
    torch.manual_seed(4)
    lengths = np.linalg.norm(direction() @ matrix.numpy().T, axis=1).reshape(-1, 2)
    torch.manual_seed(4)
    watched = PathLength(weight=2.0, decay=0.9).generator(turn)
    np.testing.assert_allclose(watched.term.detach(), (lengths**2).mean(1), rtol=1e-12)
    np.testing.assert_allclose(watched.value, lengths.mean(1), rtol=1e-12)


@pytest.mark.parametrize("mapped", [True, False])
def test_the_penalty_reaches_the_generator_and_its_mapping(mapped):
    mapping, render = nn.Sequential(nn.Linear(Z, S), nn.Tanh()), nn.Sequential(nn.Linear(S, 5), nn.Tanh())
    width = Z if mapped else S
    styles = mapping if mapped else lambda noise: noise
    turn = play(noise=torch.randn(N, width), styles=styles, render=render)
    PathLength(weight=2.0, decay=0.9).generator(turn).term.mean().backward()
    weights = [layer.weight for layer in (*(mapping[:1] if mapped else ()), render[0])]
    assert all(weight.grad is not None and weight.grad.any() and weight.grad.isfinite().all() for weight in weights)


def test_the_mean_length_follows_after_the_turn_alone():
    penalty = PathLength(weight=2.0, decay=0.75)
    turn = play(noise=torch.randn(N, 5), styles=lambda noise: noise, render=torch.tanh)
    penalty.generator(turn)
    assert penalty.length.item() == 0
    penalty.follow(torch.tensor(8.0))
    penalty.follow(torch.tensor(4.0))
    assert penalty.length.item() == 0.75 * 2 + 1
    assert penalty.reacts
    assert penalty.twice


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_refuses_a_decay_by_name(decay):
    with pytest.raises(UserError, match=f"PathLength: decay={decay}"):
        PathLength(weight=2.0, decay=decay)
