"""What every rank needs, imported once in the template that they are forked from."""

import pytorch_lightning
import torch
import torchmetrics

import duogen.experiment.trial

__all__ = ["duogen", "pytorch_lightning", "torch", "torchmetrics"]
