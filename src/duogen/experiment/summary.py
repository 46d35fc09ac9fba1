"""What a person wants to see when a run has ended: its values beside the floor, and where its pictures lie."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from duogen.experiment.folder import RunFolder
from duogen.records import MetricValue


def table(values: Sequence[MetricValue], title: str) -> Table:
    """One row per value: ours, and real data in the place of generated data."""
    real = {value.name: value for value in values if value.weights == "real"}
    shown = Table(title=title, title_justify="left")
    for header in ("metric", "better", "generated", "real data", "unit", "examples"):
        left = header in ("metric", "better", "unit")
        shown.add_column(header, justify="left" if left else "right", overflow="fold")
    for value in values:
        if value.weights != "real":
            other = f"{real[value.name].value:.4g}" if value.name in real else ""
            arrow = "higher" if value.higher_is_better else "lower"
            counts = str(value.protocol.get("n_generated", ""))
            shown.add_row(value.name, arrow, f"{value.value:.4g}", other, value.unit, counts)
    return shown


def show(folder: RunFolder) -> None:
    """Prints the record's table, or what went wrong, and the paths worth opening."""
    record = folder.record()
    if record is None:
        return
    console = Console(soft_wrap=True, highlight=False)
    if record.status == "done":
        choices = f"{record.choices.get('model')} on {record.choices.get('data')}"
        weights = next((value.weights for value in record.metrics if value.weights != "real"), "raw")
        title = f"{choices}, {record.steps} steps, {weights} weights, {record.wall_s:.0f} s"
        console.print(table(record.metrics, title))
    else:
        lines = (record.error or "").strip().splitlines()
        console.print(f"{record.status} at step {record.steps}" + (f": {lines[-1]}" if lines else ""), markup=False)
    pictures = sorted(folder.samples.glob("step-*.png"), key=lambda path: int(path.stem.removeprefix("step-")))
    if pictures:
        console.print(f"samples  {pictures[-1]}", markup=False)
    console.print(f"run      {folder.path}", markup=False)
