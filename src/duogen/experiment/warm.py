"""What ranks may need, imported once in the template that all are forked from: a trial imports next to nothing."""

from importlib import import_module
from pkgutil import iter_modules

from PIL import Image

import duogen.augmentations
import duogen.data
import duogen.experiment.attempt
import duogen.metrics
import duogen.modules
import duogen.networks
import duogen.objectives

ROLES = (duogen.augmentations, duogen.data, duogen.metrics, duogen.modules, duogen.networks, duogen.objectives)
LATE = ("matplotlib.backends.backend_agg", "pydantic.plugin._loader", "torch.utils.serialization.config")

for role in ROLES:
    for module in iter_modules(role.__path__, f"{role.__name__}."):
        import_module(module.name)
for name in (*LATE, "wandb", "wandb.apis.public"):  # imported by others when first used; last, what not all ask for
    import_module(name)
Image.preinit()
