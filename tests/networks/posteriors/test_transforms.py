import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from duogen.errors import UserError
from duogen.networks.posteriors.transforms import Planar, Planars, affine, autoregressive, couplings, gated

Z, CONTEXT, WIDTH = 4, 3, 7
DOUBLE = torch.float64


def planar(scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    push, normal = (scale * torch.randn(Z, generator=generator, dtype=DOUBLE) for _ in range(2))
    return Planar(push, normal, torch.randn(1, generator=generator, dtype=DOUBLE))


def layers(kind, context=CONTEXT, latent_dim=Z, steps=2, width=WIDTH, depth=1):
    torch.manual_seed(0)
    if kind == "couplings":
        return couplings(latent_dim, context, steps, width, depth, nn.Tanh())
    univariate = {"maf": affine, "iaf": gated}[kind]
    return autoregressive(latent_dim, context, steps, width, depth, nn.Tanh(), univariate)


def made(kind, steps=2):
    return layers(kind, steps=steps)(torch.randn(CONTEXT))


@pytest.mark.parametrize("seed", range(4))
def test_planar_equals_numpy(seed):
    generator = torch.Generator().manual_seed(seed)
    u, w = (torch.randn(Z, generator=generator, dtype=DOUBLE).numpy() for _ in range(2))
    b = torch.randn(1, generator=generator, dtype=DOUBLE).numpy()
    z = np.linspace(-1, 2, Z)
    product = u @ w
    mended = u + (0.999 * np.log1p((np.e - 1) * np.exp(product)) - 0.999 - product) * w / (w @ w)
    expected = z + mended * np.tanh(w @ z + b)
    np.testing.assert_allclose(planar(seed=seed)(torch.as_tensor(z)), expected, rtol=1e-12)
    assert mended @ w > -1


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_planar_is_invertible_however_its_numbers_are(scale, seed):
    transform = planar(scale, seed)
    z = torch.randn(5, Z, dtype=DOUBLE)
    moved = transform(z)
    torch.testing.assert_close(transform.inv(moved), z, rtol=1e-6, atol=1e-6)
    assert (transform.log_abs_det_jacobian(z, moved).isfinite()).all()
    assert (transform.push.norm() <= 2 * max(scale, 1) * Z).all()


def test_planar_leaves_a_push_alone_that_has_no_part_along_its_normal():
    push, normal = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1e-4])
    torch.testing.assert_close(Planar(push, normal, torch.ones(1)).push, push, rtol=0, atol=2e-3)


def test_the_inverse_of_planar_is_differentiable():
    transform, point = planar(), torch.linspace(-1, 1, Z, dtype=DOUBLE)
    forward = jacobian(transform, transform.inv(point))
    torch.testing.assert_close(jacobian(transform.inv, point), forward.inverse(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["couplings", "maf", "iaf", "planar", "planars"])
def test_growth_of_volume_equals_the_jacobians(kind):
    if kind == "planar":
        transform, point = planar(), torch.randn(Z, dtype=DOUBLE)
    else:
        torch.manual_seed(1)
        transform = Planars(Z, CONTEXT, 3)(torch.randn(CONTEXT)) if kind == "planars" else made(kind)
        point = torch.randn(Z)
    expected = jacobian(transform, point).slogdet()[1]
    torch.testing.assert_close(transform.log_abs_det_jacobian(point, transform(point)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["couplings", "maf", "iaf"])
def test_inverse_and_dependence(kind):
    transform = made(kind, steps=3)
    point = torch.randn(3, Z)
    torch.testing.assert_close(transform.inv(transform(point)), point, rtol=1e-4, atol=1e-4)
    assert (jacobian(transform, point[0]).abs() > 0).all()


@pytest.mark.parametrize("kind", ["maf", "iaf"])
def test_a_masked_network_sees_only_what_came_before(kind):
    slopes = jacobian(made(kind, steps=1), torch.randn(Z))
    assert (slopes.triu(1) == 0).all()
    assert (slopes.tril()[*torch.tril_indices(Z, Z)] != 0).all()


def test_a_coupling_leaves_its_given_half():
    point = torch.randn(Z)
    moved = made("couplings", steps=1)(point)
    assert torch.equal(moved[::2], point[::2])
    assert (moved[1::2] != point[1::2]).all()


def test_a_gate_keeps_most_at_first_and_mixes_as_numpy():
    shift, gate, z = torch.tensor([3.0, -1.0]), torch.tensor([0.0, 1.5]), torch.tensor([0.5, 2.0])
    share = 1 / (1 + np.exp(-(8 * np.tanh(gate.numpy() / 8) + 2)))
    np.testing.assert_allclose(gated(shift, gate)(z), share * z.numpy() + (1 - share) * shift.numpy(), rtol=1e-5)
    assert share[0] > 0.88
    assert gated(shift, torch.tensor(-1e6)).log_abs_det_jacobian(z, z).isfinite().all()


def test_affine_is_in_float32_whatever_the_networks_are_in():
    shift, scale = torch.tensor([0.25], dtype=torch.bfloat16), torch.tensor([0.5], dtype=torch.bfloat16)
    moved = affine(shift, scale)(torch.ones(1))
    assert moved.dtype == torch.float32
    log_scale = 0.5 / (1 + 0.5 / np.log(1000))
    torch.testing.assert_close(moved, torch.tensor([np.exp(log_scale) + 0.25], dtype=torch.float32))


@pytest.mark.parametrize(
    ("kind", "sizes", "word"),
    [
        ("couplings", {"steps": 0}, "steps=0"),
        ("couplings", {"width": 0}, "width=0"),
        ("maf", {"depth": 0}, "depth=0"),
        ("iaf", {"width": Z - 1}, f"width={Z - 1}"),
    ],
)
def test_sizes_that_cannot_be_are_refused(kind, sizes, word):
    with pytest.raises(UserError, match=word):
        layers(kind, **sizes)
    with pytest.raises(UserError, match="steps=0"):
        Planars(Z, CONTEXT, 0)


def test_layers_have_their_sizes():
    flow = layers("maf", steps=3, depth=2)
    assert [tuple(p.shape) for p in flow.parameters() if p.ndim == 2] == 3 * [(7, Z + CONTEXT), (7, 7), (2 * Z, 7)]
    halves = layers("couplings", steps=1, latent_dim=5)
    assert [tuple(p.shape) for p in halves.parameters() if p.ndim == 2] == [(7, 3 + CONTEXT), (4, 7)]
