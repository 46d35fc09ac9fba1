"""The VAE of pythae with the networks of ours, in its own trainer."""

# pyright: reportMissingImports=false

from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn


class Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(400, 40), nn.Linear(400, 40)

    def forward(self, x: Tensor) -> ModelOutput:
        features = self.layers(x)
        return ModelOutput(embedding=self.mean(features), log_covariance=self.log_variance(features))


class Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(40, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))


def trainer(values: Tensor, batch: int, folder: str) -> Any:
    """A trainer that is ready for its first epoch, on images (N, 1, 28, 28) of 0 and 1."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=40, reconstruction_loss="bce")
    training = BaseTrainerConfig(
        output_dir=folder, num_epochs=1000, learning_rate=1e-4, per_device_train_batch_size=batch, no_cuda=True,
        optimizer_cls="Adam",
    )  # fmt: skip
    ready = BaseTrainer(
        model=VAE(config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=BaseDataset(values, torch.ones(len(values))),
        training_config=training,
    )
    ready.prepare_training()
    return ready
