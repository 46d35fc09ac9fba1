"""Tests share two cores: one thread each, also in the processes that they start. CI lets none of them skip."""

import os
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DUOGEN_CACHE"] = tempfile.mkdtemp(prefix="duogen-cache-")
os.environ["WANDB_MODE"] = "offline"  # whoever is logged in


def pytest_terminal_summary(terminalreporter):
    """The counts that tests report, summed over them."""
    counts = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, count in report.user_properties:
            counts[name] = counts.get(name, 0) + count
    for name, count in counts.items():
        terminalreporter.write_line(f"{count:,} {name}")


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("DUOGEN_NO_SKIPS") and exitstatus == 0:
        reporter.write_line(f"{len(skipped)} skipped, and DUOGEN_NO_SKIPS is set: that is a failure here", red=True)
        session.exitstatus = 1
