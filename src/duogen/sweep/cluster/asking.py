"""How a Hydra launcher is asked for a trial: overrides that name its file, whatever characters its path holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString

if TYPE_CHECKING:
    from duogen.sweep.agenda import Trial

ASKED = "trial_file"


def asking(trial: "Trial") -> list[str]:
    """The overrides of a trial's job, whose function reads the file alone; Hydra makes no folders of its own."""
    file = QuotedString(str(trial.file).replace("${", "\\${"), Quote.single).with_quotes()
    return [f"+{ASKED}={file}", "hydra.sweep.subdir=.", "hydra.output_subdir=null"]


def asked_for(config: Mapping[str, Any]) -> Path:
    """The file that a job's config names."""
    return Path(config[ASKED])
