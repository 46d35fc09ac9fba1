import numpy as np
import torch

from duogen.networks.quantizers.vector import VectorQuantizer

N, D, P, K = 5, 3, 4, 7


def test_the_codebook_term_pulls_each_vector_to_the_values_that_chose_it():
    torch.manual_seed(0)
    network, features = VectorQuantizer(D, K, 0.25), torch.randn(N, D, P, 1, requires_grad=True)
    made = network(features, 0)
    torch.testing.assert_close(made.terms["codebook"], made.terms["commitment"])
    made.terms["codebook"].sum().backward()
    assert features.grad is None
    values = features.detach().numpy().transpose(0, 2, 3, 1).reshape(-1, D)
    codes, codebook = made.codes.flatten().numpy(), network.codebook.detach().numpy()
    expected = np.zeros((K, D))
    for value, code in zip(values, codes, strict=True):
        expected[code] += 2 * (codebook[code] - value) / P
    np.testing.assert_allclose(network.codebook.grad, expected, rtol=1e-4, atol=1e-6)


def test_gradient_steps_find_the_clusters():
    torch.manual_seed(1)
    centres = torch.tensor([[2.0, 0], [-2, 0], [0, 2], [0, -2]])
    network = VectorQuantizer(2, 4, 0.25)
    with torch.no_grad():
        network.codebook.copy_(centres / 10)
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    values = centres.repeat(8, 1) + 0.1 * torch.randn(32, 2)
    for _ in range(120):
        optimizer.zero_grad()
        network(values, 0).terms["codebook"].mean().backward()
        optimizer.step()
    means = values.view(8, 4, 2).mean(0)
    torch.testing.assert_close(network.codebook.detach(), means, rtol=0, atol=1e-3)


def test_nothing_follows():
    network, features = VectorQuantizer(D, K, 0.25), torch.randn(N, D)
    assert len(network.gathered(features, network(features, 0).codes)) == 0
