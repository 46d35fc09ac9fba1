"""The rate and the distortion of any sweep's settings, as a picture: `python -m experiments.rate_distortion DIR`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.curves import curves
from experiments.records import done, require_one_protocol

from duogen.cli import settings
from duogen.errors import UserError
from duogen.report.charts import save
from duogen.report.rate_distortion import rate_distortion


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        raise UserError(
            "no folder", "the folder of a sweep of VAEs", "e.g. python -m experiments.rate_distortion runs/NAME"
        )
    folder, *rest = arguments
    given = settings(rest, {"out": "rate_distortion.png"})
    sweep, out = Path(folder), Path(given["out"])
    require_one_protocol([done(sweep)], ["rate", "distortion"])
    found = curves(sweep, "rate", "distortion")
    if not found:
        raise UserError(f"{folder}: no run is done", "the folder of a sweep of VAEs", "e.g. runs/NAME")
    save(rate_distortion(found), out)
    print(f"{sum(map(len, found.values()))} settings in {out}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
