"""What records say of trials, and the claims that keep two commands apart."""

import json
import os
import resource
import subprocess
import sys

import pytest

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.sweep import ledger
from duogen.sweep.ledger import MOST_FILES, Claims, is_over, outcome
from sweep.fakes import TRIAL, end, trial


@pytest.mark.parametrize(
    ("status", "failures", "attempts", "over"),
    [
        ("done", 0, 1, True),
        ("pruned", 0, 3, True),
        ("nan", 0, 3, True),
        ("running", 5, 1, False),
        ("preempted", 5, 1, False),
        ("interrupted", 0, 1, False),
        *[(status, 1, 1, True) for status in ("failed", "oom", "timeout")],
        *[(status, 1, 3, False) for status in ("failed", "oom", "timeout")],
        *[(status, 3, 3, True) for status in ("failed", "oom", "timeout")],
        *[(status, 4, 3, True) for status in ("failed", "oom", "timeout")],
    ],
)
def test_a_trial_is_over_when_it_ended_well_or_failed_as_often_as_it_may(status, failures, attempts, over, tmp_path):
    one = trial(tmp_path, "a", trial=TRIAL | {"attempts": attempts})
    end(one, status, failures=failures)
    assert is_over(one, RunFolder(one.plan.folder).record()) is over


def test_a_trial_without_a_record_is_not_over(tmp_path):
    assert is_over(trial(tmp_path, "a"), None) is False


def test_an_outcome_holds_the_validated_rows_by_short_names(tmp_path):
    one = trial(tmp_path, "a")
    rows = [
        {"step": 5, "time": 1.0, "train/generator/loss": 0.5, "updates/generator": 5, "samples": 80},
        {"step": 7, "time": 2.0, "validate/gan/frechet_pixels": 1.25, "validate/gan/modes": 3, "train/gan/x": 2.0},
        {"step": 14, "time": 3.0, "validate/gan/frechet_pixels": 0.75},
    ]
    end(one, "failed", "the end", rows="".join(json.dumps(row) + "\n" for row in rows))
    found = outcome(one)
    assert (found.status, found.error) == ("failed", "the end")
    assert list(found.rows) == [(7, {"frechet_pixels": 1.25, "modes": 3}), (14, {"frechet_pixels": 0.75})]


def test_a_trial_that_left_nothing_has_failed(tmp_path):
    found = outcome(trial(tmp_path, "a"))
    assert (found.status, list(found.rows), found.error) == ("failed", [], None)


def test_short_names_are_those_of_validated_values_alone():
    row = {"step": 3, "validate/gan/modes": 2.0, "train/gan/modes": 9.0, "validation": 1.0}
    assert ledger.short(row) == {"modes": 2.0}


TAKE = """
import fcntl, sys
held, said = [], []
for path in sys.argv[1:]:
    held.append(open(path, "a+"))
    try:
        fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        said.append(True)
    except OSError:
        said.append(False)
print(*said, flush=True)
sys.stdin.read()
"""


def other(folder, *keys):
    """Another process that claims, says with what success, and lives until its stdin closes."""
    command = [sys.executable, "-c", TAKE, *(str(folder / f"{key}.claim") for key in keys)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()


def test_a_claim_holds_against_other_processes_until_it_is_given_back_or_its_holder_is_killed(tmp_path):
    claims = Claims(tmp_path)
    assert claims.take("a")
    assert not claims.take("a")
    assert (tmp_path / "a.claim").read_text() == str(os.getpid())
    process, said = other(tmp_path, "a", "b")
    assert said == ["False", "True"]
    assert not claims.take("b")
    process.kill()
    process.communicate()
    assert claims.take("b")
    assert (tmp_path / "b.claim").read_text() == str(os.getpid())
    claims.give("a")
    process, said = other(tmp_path, "a", "b")
    process.communicate()
    assert said == ["True", "False"]
    assert claims.take("a")


def test_as_many_claims_are_held_as_a_queue_may_take(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        claims = Claims(tmp_path)
        assert all(claims.take(str(number)) for number in range(80))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(MOST_FILES, hard), hard)
        for number in range(80):
            claims.give(str(number))
        assert len(claims.held) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_another_desk_of_this_process_is_kept_out_too(tmp_path):
    one, two = Claims(tmp_path), Claims(tmp_path)
    assert one.take("a")
    assert not two.take("a")
    one.give("a")
    assert two.take("a")


def test_giving_back_what_is_not_held_is_nothing(tmp_path):
    Claims(tmp_path).give("a")
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_start_empties_the_folder(tmp_path):
    one = trial(tmp_path, "a")
    end(one, "done", rows='{"step": 1}\n')
    with RunFolder(one.plan.folder).lock():
        pass
    ledger.clear(one)
    assert [path.name for path in one.plan.folder.iterdir()] == ["lock"]
    ledger.clear(trial(tmp_path, "b"))
    assert not (tmp_path / "b").exists()


def test_a_fresh_start_spares_a_folder_in_use_and_one_that_is_not_ours(tmp_path):
    one = trial(tmp_path, "a")
    end(one, "running")
    with RunFolder(one.plan.folder).lock(), pytest.raises(UserError, match="in use"):
        ledger.clear(one)
    assert RunFolder(one.plan.folder).record().status == "running"
    (one.plan.folder / "thesis.tex").touch()
    with pytest.raises(UserError, match="other files"):
        ledger.clear(one)
    assert (one.plan.folder / "record.json").exists()
