"""A VQ-VAE's loss, what its codebooks follow, its codes and samples, and that all of it resumes and agrees."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from contracts.cases import Case
from contracts.rank_work import train_and_keep_module
from contracts.test_compiled import Syncs
from contracts.test_resume import STEPS, check_every_save_point
from contracts.watch import Watch
from duogen.errors import UserError
from duogen.experiment import assemble, crew
from duogen.experiment.checkpoint import load
from duogen.experiment.trial import Plan
from duogen.metrics.code_use import CodeUse
from duogen.metrics.evidence_bound import EvidenceBound
from duogen.modules import vq_vae
from duogen.modules.turns import Alternate, Turn
from duogen.modules.vq_vae import VQVAE, counted, uniform
from duogen.networks.dense import MlpDecoder, MlpEncoder
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.quantized import VqDecoder, VqEncoder
from duogen.networks.quantizers.ema import EmaQuantizer
from duogen.networks.quantizers.finite_scalar import FiniteScalarQuantizer
from duogen.networks.quantizers.residual import ResidualQuantizer
from duogen.networks.quantizers.vector import VectorQuantizer
from duogen.records import Examples

N, D, K, SHAPE = 6, 3, 5, (1, 8, 12)
TURN = Turn("autoencoder")
SMALL = (
    "model=vq_vae", "data=digits", "data.batch_size=8", "logger=none", "trainer=cpu", "metrics=[]", "encoder.width=4",
    "decoder.width=4", "latent_dim=3", "optimizer.lr=1e-2",
)  # fmt: skip
ALIVE = ("revive_from=3", "revive_below=0.5", "size=7")
QUANTIZERS = {
    "ema": ("quantizer=ema", *(f"quantizer.{each}" for each in ALIVE)),
    "vector": ("quantizer=vector", "quantizer.size=7"),
    "residual": ("quantizer=residual", "quantizer.depth=2", *(f"quantizer.inner.{each}" for each in ALIVE)),
    "finite_scalar": ("quantizer=finite_scalar", "quantizer.levels=[3,4]"),
    "gumbel": ("quantizer=gumbel", "quantizer.size=7", "quantizer.temperature.stop=20"),
}
FLAT = ("encoder=mlp", "decoder=mlp")


def ema(revive_from=None):
    return EmaQuantizer(D, K, 0.25, 0.9, 1e-12, 0.5, revive_from)


def built(quantizer=None, memory=0.5, classes=None):
    torch.manual_seed(0)
    quantizer = quantizer or ema()
    networks = VqEncoder(SHAPE, 4, 1, classes), quantizer, VqDecoder(SHAPE, D, 4, 1, classes)
    return VQVAE(*networks, Bernoulli(SHAPE), classes, memory)


def flat(quantizer=None):
    torch.manual_seed(0)
    encoder, decoder = MlpEncoder(SHAPE, 4, 1, nn.Tanh(), None), MlpDecoder(SHAPE, D, 4, 1, nn.Tanh(), None)
    return VQVAE(encoder, quantizer or ema(), decoder, Bernoulli(SHAPE), None, 0.5)


def batch(count=N):
    return Examples(torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1)


def labelled():
    return Examples(batch().values, torch.tensor([0, 3, 1, 2, 3, 0]))


def case(name, *more):
    return Case("vq", (*SMALL, *QUANTIZERS[name], *more))


def test_the_loss_is_the_papers_by_hand():
    module, examples = built(VectorQuantizer(D, K, 0.25)), batch()
    loss, parts = module.loss(examples), module.autoencoder
    encoded = parts.encoder((examples.values + 1) / 2).permute(0, 2, 3, 1)
    features = encoded @ parts.projection.weight.T + parts.projection.bias
    vectors = parts.quantizer.codebook[torch.cdist(features, parts.quantizer.codebook).argmin(-1)]
    logits, pixels = parts.decoder(vectors.permute(0, 3, 1, 2)), (examples.values + 1) / 2
    crossed = nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="none").flatten(1).sum(1)
    apart = (features - vectors).square().sum(3).mean((1, 2))
    assert_close(loss.terms, {"distortion": crossed, "commitment": apart, "codebook": apart})
    assert loss.weights == {"commitment": 0.25}
    assert loss.count == N
    assert 1 <= float(loss.observed["perplexity"]) <= K


@pytest.mark.parametrize(
    ("quantizer", "depth"),
    [(ema, ()), (lambda: ResidualQuantizer(ema(), 2), (2,)), (lambda: FiniteScalarQuantizer(D, [2, 3]), ())],
)
def test_codes_have_a_shape_that_samples_and_encodings_share(quantizer, depth):
    for module, places in ((built(quantizer()), (2, 3)), (flat(quantizer()), ())):
        assert module.code_shape == (*places, *depth)
        codes = module.encode(batch())
        assert codes.shape == (N, *module.code_shape)
        drawn = module.drawn(4, torch.Generator().manual_seed(0))
        assert drawn.shape == (4, *module.code_shape)
        assert drawn.dtype == codes.dtype == torch.int64
        assert module.generate(drawn).shape == (4, *SHAPE)
        assert module.samples(4, torch.Generator().manual_seed(0)).values.shape == (4, *SHAPE)


def test_codes_generate_their_reconstruction():
    module, examples = built(), batch()
    parts = module.autoencoder
    made = parts.quantizer(parts.features(examples.values), 0)
    expected = 2 * parts.decoder(made.features).sigmoid() - 1
    assert_close(module.generate(module.encode(examples)), expected.detach())
    assert module.training
    assert not module.generate(module.encode(examples)).requires_grad


def test_the_average_encodes_and_generates_once_it_has_begun(tmp_path):
    config = case("ema", "optimizers.autoencoder.ema.decay=0.9", "budget.steps=4").config()
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    examples = Examples(torch.rand(8, 1, 8, 8) * 2 - 1)
    for module.step in range(3):
        module.turns.play(module, examples)
    average = module.averages["autoencoder"].network
    assert torch.equal(average.quantizer.codebook, module.autoencoder.quantizer.codebook)
    made = average.quantizer(average.features(examples.values), 0)
    assert torch.equal(module.encode(examples), made.codes)


def test_codebook_and_frequencies_follow_what_the_loss_saw():
    module, examples, twin = built(), batch(), ema()
    loss = module.loss(examples)
    twin.load_state_dict(module.autoencoder.quantizer.state_dict())
    with torch.no_grad():
        module.autoencoder.projection.bias.add_(3)  # as the step between loss and feedback moves the encoder
    module.after_turn(TURN, loss)
    twin.follow(twin.gathered(loss.features, loss.codes), torch.zeros(0), 0)
    assert torch.equal(module.autoencoder.quantizer.codebook, twin.codebook)
    shares = np.stack([np.bincount(codes, minlength=K) for codes in loss.codes.reshape(N, -1).T.numpy()]) / N
    np.testing.assert_allclose(module.frequencies, 0.5 / K + 0.5 * shares, rtol=1e-6)


def test_frequencies_of_several_codes_of_a_place_stand_apart():
    codes = torch.tensor([[[0, 2]], [[1, 2]], [[0, 0]]])
    assert counted(codes, torch.Size([2, 3])).tolist() == [[2, 1, 0], [1, 0, 2]]
    assert uniform((2,), (2, 4)).tolist() == [[0.5, 0.5, 0, 0], [0.25] * 4] * 2


def test_samples_are_drawn_from_the_frequencies_of_each_place():
    module = built()
    torch.manual_seed(4)
    module.frequencies.copy_(torch.rand(6, K).softmax(1))
    drawn = module.drawn(4000, torch.Generator().manual_seed(0)).reshape(4000, 6)
    found = np.stack([np.bincount(codes, minlength=K) for codes in drawn.T.numpy()]) / 4000
    np.testing.assert_allclose(found, module.frequencies, atol=4 * 0.5 / 4000**0.5)
    apart = np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]
    assert abs(apart) < 4 / 4000**0.5
    assert torch.equal(drawn, module.drawn(4000, torch.Generator().manual_seed(0)).reshape(4000, 6))


def acted(module, rank, loss, monkeypatch, summed, turn=TURN):
    """After a turn of this loss, with its own noise, as that rank, with `summed` in the place of the all-reduce."""
    monkeypatch.setattr(VQVAE, "global_rank", rank)
    monkeypatch.setattr(vq_vae, "summed", summed)
    torch.manual_seed(rank)
    module.after_turn(turn, loss)


@pytest.mark.parametrize("quantizer", [ema, lambda: ema(1), lambda: ResidualQuantizer(ema(1), 2)])
def test_two_ranks_follow_the_whole_batch(quantizer, monkeypatch):
    module, sent, alike = built(quantizer()), [], lambda vector: vector
    module.step = 1
    losses = [module.loss(Examples(batch().values[part])) for part in (slice(4), slice(4, None))]
    for rank, loss in enumerate(losses):
        acted(deepcopy(module), rank, loss, monkeypatch, lambda vector: (sent.append(vector), vector)[1])
    ranks = [deepcopy(module) for _ in losses]
    for rank, loss in enumerate(losses):
        acted(ranks[rank], rank, loss, monkeypatch, lambda vector: sum(sent))
    one, two = (each.state_dict() for each in ranks)
    assert [name for name, value in one.items() if not torch.equal(value, two[name])] == []
    acted(module, 0, module.loss(batch()), monkeypatch, alike)
    assert_close(one["frequencies"], module.frequencies)
    if quantizer is ema:  # revived codes are of the first rank's features, of which it has fewer than the whole
        assert_close(one["autoencoder.quantizer.codebook"], module.autoencoder.quantizer.codebook)


@pytest.mark.parametrize(("name", "more"), [("ema", ()), ("gumbel", ()), ("ema", ("turns.autoencoder.accumulate=3",))])
def test_it_resumes_bit_for_bit(name, more, tmp_path):
    every = (f"budget.steps={STEPS}", "checkpoint_every=7", f"keep={STEPS}", "log_every=4", "validate_every=5")
    check_every_save_point(case(name, *FLAT, *every, *more).config(), tmp_path, [7, 21])
    early, late = (load(tmp_path / "whole" / "checkpoints" / f"step-{step}.ckpt")["module"] for step in (7, 21))
    for buffer in ("frequencies", *(["autoencoder.quantizer.codebook"] if name == "ema" else [])):
        assert not torch.equal(early[buffer], late[buffer])


def taught(config):
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    return module


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("more", [(), FLAT], ids=["map", "flat"])
def test_each_quantizer_trains_all_of_its_player_without_a_host_sync(name, more, monkeypatch):
    module = taught(case(name, *more, "optimizer=sgd").config())
    watch, examples, syncs = Watch(monkeypatch), Examples(torch.rand(8, 1, 8, 8) * 2 - 1), Syncs()
    for module.step in range(5):
        module.turns.play(module, examples)
    assert watch.unreached() == []
    assert watch.moved
    monkeypatch.undo()
    with syncs:
        Alternate.play(module.turns, module, examples)
    assert syncs.count == 0


@pytest.mark.parametrize("name", ["vector", "residual", "finite_scalar"])
def test_training_brings_examples_back(name):
    module = taught(case(name, "optimizer.lr=3e-3", "encoder.width=16", "decoder.width=16").config())
    examples = Examples((torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5) * 2.0 - 1)
    before = float(module.loss(examples).terms["distortion"].mean().detach())
    for module.step in range(80):
        module.turns.play(module, examples)
    assert float(module.loss(examples).terms["distortion"].mean().detach()) < 0.75 * before


@pytest.mark.parametrize("classes", [None, 4])
def test_what_it_says_of_examples_is_what_it_learns_by(classes):
    module, examples = built(classes=classes).train(), labelled() if classes else batch()
    with module.inference() as model:
        assert not module.autoencoder.training
        codes = model.codes(examples)
        said = model.distortion(codes, examples)
    loss = module.loss(examples)
    assert torch.equal(codes, loss.codes)
    assert_close(said, loss.terms["distortion"].detach())
    assert (model.sizes, model.level) == ((K,), None)
    assert module.training


def test_encoder_and_decoder_are_told_the_class():
    module, examples = built(classes=4), labelled()
    others = Examples(examples.values, (examples.labels + 1) % 4)
    codes = module.encode(examples)
    features = [module.autoencoder.features(each.values, each.labels) for each in (examples, others)]
    assert not torch.allclose(*features)
    assert not torch.allclose(module.generate(codes, examples.labels), module.generate(codes, others.labels))
    drawn = module.samples(6, torch.Generator().manual_seed(0))
    assert drawn.labels.tolist() == [0, 1, 2, 3, 0, 1]
    with pytest.raises(UserError, match="without labels"):
        module.loss(batch())


def test_measures_of_codes_in_space_are_refused_by_name():
    module = built()
    with pytest.raises(UserError) as caught:
        module.evaluate_with({"evidence_bound": EvidenceBound(SHAPE, D)}, 0)
    assert caught.value.given == "metrics=[evidence_bound] with VQVAE, whose codes are integers"
    use = CodeUse(SHAPE)
    module.evaluate_with({"code_use": use}, 0)
    assert use.uses.shape == (1, K)


def in_parts(module, examples, parts):
    """The module after one step whose window holds these parts of the examples, without a step of the networks."""
    module.learn(Alternate(only=Turn("autoencoder", accumulate=len(parts))), {}, None)
    turn, window = module.turns.turns["only"], module.turns.windows["only"]
    for place, rows in enumerate(parts, 1):
        window.acts = place % len(parts)
        before = module.autoencoder.quantizer.codebook.clone()
        module.after_turn(turn, module.loss(Examples(examples.values[rows])))
        moved = not torch.equal(before, module.autoencoder.quantizer.codebook)
        assert moved == (place == len(parts))
    return module.state_dict()


def test_a_step_of_several_batches_moves_codebook_and_frequencies_once_as_one_batch_does():
    whole = in_parts(built(), batch(), [slice(None)])
    state = in_parts(built(), batch(), [slice(2), slice(2, 3), slice(3, None)])
    assert not state.pop("autoencoder.pending").any()
    assert_close(state, whole)


def test_an_unfinished_step_of_two_ranks_follows_both(monkeypatch):
    """Before a step ranks average `pending`, as they do all buffers of a player."""
    whole, ranks, sent = in_parts(built(), batch(), [slice(None)]), [], []
    for first in (slice(1), slice(1, 3)):
        module = built()
        module.learn(Alternate(only=Turn("autoencoder", accumulate=2)), {}, None)
        module.turns.windows["only"].acts = 1
        module.after_turn(module.turns.turns["only"], module.loss(Examples(batch().values[first])))
        ranks.append(module)
    mean = (ranks[0].autoencoder.pending + ranks[1].autoencoder.pending) / 2
    losses = [ranks[0].loss(Examples(batch().values[last])) for last in (slice(3, 5), slice(5, None))]
    for keeps in (lambda vector: (sent.append(vector), vector)[1], lambda vector: sum(sent)):
        for rank, loss in enumerate(losses):
            module = deepcopy(ranks[rank])
            module.autoencoder.pending.copy_(mean)
            module.turns.windows["only"].acts = 0
            acted(module, rank, loss, monkeypatch, keeps, module.turns.turns["only"])
    state = module.state_dict()
    assert not state.pop("autoencoder.pending").any()
    assert_close(state, whole)


def test_two_processes_that_share_steps_of_several_batches_end_equal(tmp_path):
    steps = ("budget.steps=8", "turns.autoencoder.accumulate=2", "optimizers.autoencoder.ema.decay=0.9")
    config = case("residual", *FLAT, *steps, "trainer=ddp_cpu", "trainer.devices=2").config()
    assert crew.launch(train_and_keep_module, 2, Plan(config, tmp_path / "run"), tmp_path) == 0
    one, two = (torch.load(tmp_path / f"module-{rank}.pt")["module"] for rank in range(2))
    assert [name for name, value in one.items() if not torch.equal(value, two[name])] == []
    assert not one["autoencoder.pending"].any()
    assert one["frequencies"].sum(1).tolist() == pytest.approx([1, 1])


def test_refuses_places_on_one_side_alone():
    with pytest.raises(UserError) as caught:
        VQVAE(
            MlpEncoder(SHAPE, 4, 1, nn.Tanh(), None),
            ema(),
            VqDecoder(SHAPE, D, 4, 1, None),
            Bernoulli(SHAPE),
            None,
            0.5,
        )
    assert caught.value.given == "VQVAE: encoder MlpEncoder with decoder VqDecoder"
    with pytest.raises(UserError, match="memory=1"):
        built(memory=1.0)


def test_an_encoder_with_places_does_not_serve_a_posterior():
    config = Case("vae", ("model=vae", "data=digits", "encoder=vq", "logger=none", "trainer=cpu")).config()
    with pytest.raises(UserError, match="encoder"):
        assemble.module(config, ())
