"""A small adversarial autoencoder, or a WAE-GAN, of five values and three codes."""

import numpy as np
import torch
from torch import nn

from duogen.modules.adversarial_autoencoder import AdversarialAutoencoder
from duogen.networks.dense import MlpDecoder, MlpDiscriminator, MlpEncoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.point import PointPosterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.adversarial import NonSaturating
from duogen.objectives.variational.distortion import Distortion
from duogen.records import Examples


def built(adversarial=None, posterior=PointPosterior, prior=None, kind=AdversarialAutoencoder, **more):
    torch.manual_seed(0)
    encoder, decoder = MlpEncoder([5], 6, 1, nn.Tanh(), None), MlpDecoder([5], 3, 7, 1, nn.Tanh(), None)
    judge = MlpDiscriminator([3], 4, 2, 0.0, False, False, False)
    return kind(
        posterior=posterior(encoder, 3),
        prior=prior or StandardPrior(3),
        decoder=decoder,
        likelihood=Gaussian([5], 256, False, 0.5),
        variational=Distortion(1),
        discriminator=judge,
        adversarial=adversarial or NonSaturating(),
        latent_dim=3,
        classes=None,
        **more,
    )


def batch(count=11):
    return Examples(torch.randn(count, 5, generator=torch.Generator().manual_seed(1)))


def log_sigmoid(logits):
    return -np.logaddexp(0, -logits.detach().double().numpy())
