import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.quantizers.ema import EmaQuantizer

N, D, H, W, K = 6, 3, 2, 4, 5


def ema(decay=0.9, epsilon=1e-12, revive_below=0.5, revive_from=None):
    torch.manual_seed(0)
    return EmaQuantizer(D, K, 0.25, decay, epsilon, revive_below, revive_from)


def step(network, features, number=0):
    codes = network(features, number).codes
    network.follow(network.gathered(features, codes), network.offered(features, codes, number), number)
    return codes


def rows(features):
    return features.double().numpy().transpose(0, 2, 3, 1).reshape(-1, D)


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_the_codebook_follows_the_papers_recurrences(epsilon):
    """Appendix A.1, eq. 6 to 8, and the smoothed counts of the authors' code, in double precision."""
    network = ema(epsilon=epsilon)
    vectors = network.codebook.double().numpy().copy()
    counts, sums = np.ones(K), vectors.copy()
    for _ in range(6):
        features = torch.randn(N, D, H, W)
        codes = step(network, features).flatten().numpy()
        values = rows(features)
        for k in range(K):
            counts[k] = counts[k] * 0.9 + (codes == k).sum() * 0.1
            sums[k] = sums[k] * 0.9 + values[codes == k].sum(0) * 0.1
        whole = counts.sum()
        smoothed = (counts + epsilon) / (whole + K * epsilon) * whole
        vectors = sums / smoothed[:, None]
        np.testing.assert_allclose(network.counts, counts, rtol=1e-5)
        np.testing.assert_allclose(network.codebook, vectors, rtol=1e-4, atol=1e-6)


def test_laplace_smoothing_keeps_the_whole_and_fills_the_empty():
    network = ema(epsilon=0.5)
    network.counts.copy_(torch.tensor([0.0, 1, 2, 3, 4]))
    expected = (np.arange(5) + 0.5) / (10 + 5 * 0.5) * 10
    np.testing.assert_allclose(network.smoothed(), expected, rtol=1e-6)
    assert float(network.smoothed().sum()) == pytest.approx(10)
    assert float(network.smoothed().min()) > 0


def test_an_unused_code_keeps_its_place_without_smoothing():
    network = ema()
    with torch.no_grad():
        network.codebook[4] = network.sums[4] = 100.0
    before = network.codebook[4].clone()
    for _ in range(5):
        step(network, torch.randn(N, D, H, W))
    torch.testing.assert_close(network.codebook[4], before)
    assert float(network.counts[4]) == pytest.approx(0.9**5)


def test_a_code_that_was_never_used_stays_finite():
    network = ema()
    with torch.no_grad():
        network.counts[3] = network.sums[3] = 0.0
    step(network, torch.randn(N, D, H, W))
    assert network.codebook.isfinite().all()


def test_the_shares_of_two_ranks_add_up_to_the_whole_batch():
    one, two, features = ema(), ema(), torch.randn(N, D, H, W)
    codes = one(features, 0).codes
    one.follow(one.gathered(features, codes), torch.zeros(0), 0)
    shares = [two.gathered(features[part], codes[part]) for part in (slice(4), slice(4, 6))]
    two.follow(shares[0] + shares[1], torch.zeros(0), 0)
    torch.testing.assert_close(two.codebook, one.codebook)
    torch.testing.assert_close(two.counts, one.counts)


def dead(network, *codes):
    """The codebook with these codes far away, without use."""
    with torch.no_grad():
        for code in codes:
            network.codebook[code] = 100.0
            network.counts[code], network.sums[code] = 1e-3, 0.1
    return network


def test_a_dead_code_is_revived_from_its_step_on_and_not_before():
    network, features = dead(ema(revive_from=3), 1, 4), torch.randn(N, D, H, W)
    for number in range(3):
        step(network, features, number)
    assert (network.codebook[[1, 4]] > 99).all()
    step(network, features, 3)
    values = torch.from_numpy(rows(features)).float()
    for code in (1, 4):
        assert (values - network.codebook[code]).abs().sum(1).min() < 1e-4
    assert float(network.counts[1]) == float(network.counts[4]) > 1


def test_a_revived_code_has_the_mean_count_and_the_living_are_left_alone():
    network, features = dead(ema(revive_from=1), 2), torch.randn(N, D, H, W)
    twin = dead(ema(), 2)
    step(network, features, 1)
    step(twin, features, 1)
    living = [0, 1, 3, 4]
    kept = twin.counts >= 0.5 * twin.counts.mean()
    torch.testing.assert_close(network.counts[kept], twin.counts[kept])
    torch.testing.assert_close(network.counts[2], twin.counts.mean())
    assert kept[living].any()
    torch.testing.assert_close(network.codebook[kept], twin.codebook[kept])


def test_revival_is_a_function_of_the_seed():
    features, found = torch.randn(N, D, H, W), []
    for seed in (5, 5, 6):
        network = dead(ema(revive_from=1), 0, 1, 2, 3)
        torch.manual_seed(seed)
        step(network, features, 1)
        found.append(network.codebook.clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_features_are_offered_from_the_step_on_at_which_codes_are_revived():
    network, features = ema(revive_from=1), torch.randn(N, D, H, W)
    codes = network(features, 1).codes
    assert network.offered(features, codes, 0).shape == (0,)
    offered = network.offered(features, codes, 1).view(K, D)
    values = torch.from_numpy(rows(features)).float()
    assert float(torch.cdist(offered, values).min(1).values.max()) == 0
    assert len(offered.unique(dim=0)) > 1


def test_its_state_travels_in_the_state_dict():
    network, other = ema(), ema()
    step(network, torch.randn(N, D, H, W))
    assert set(network.state_dict()) == {"codebook", "counts", "sums"}
    other.load_state_dict(network.state_dict())
    features = torch.randn(N, D, H, W)
    assert torch.equal(step(network, features), step(other, features))
    assert torch.equal(network.codebook, other.codebook)


def test_it_finds_the_clusters_that_a_start_in_one_corner_leaves_out():
    torch.manual_seed(3)
    centres = 3 * torch.eye(3)[[0, 1, 2, 0, 1]] * torch.tensor([1.0, 1, 1, -1, -1])[:, None]
    network = EmaQuantizer(D, K, 0.25, 0.8, 1e-5, 0.3, 2)
    with torch.no_grad():
        network.codebook.fill_(50.0)
        network.codebook[0] = 0.0
        network.sums.copy_(network.codebook)
    for number in range(60):
        values = centres.repeat(6, 1) + 0.05 * torch.randn(30, D)
        step(network, values, number)
    distances = torch.cdist(centres, network.codebook).min(1).values
    assert float(distances.max()) < 0.1


@pytest.mark.parametrize(
    "wrong", [{"decay": 1.0}, {"epsilon": 0.0}, {"revive_below": 1.0}, {"revive_from": 0}, {"decay": -0.1}]
)
def test_refuses_numbers_by_name(wrong):
    with pytest.raises(UserError) as caught:
        ema(**wrong)
    name, value = next(iter(wrong.items()))
    assert f"{name}={value}" in caught.value.given
