"""Ranks that Slurm has started: what srun tells each task, in the words of torch.distributed."""

import re
from collections.abc import Mapping
from datetime import timedelta

from duogen.errors import UserError

PATIENCE_S = 300
PORTS = range(10000, 30000)


def rank_environment(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The rank's variables where srun has started several tasks, one per rank; None elsewhere.

    The first rank's host is the first of SLURM_JOB_NODELIST, its port a function of the job, so that all agree.
    """
    ranks = int(environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if ranks < 2:
        return None
    return {
        "RANK": environ["SLURM_PROCID"],
        "LOCAL_RANK": environ["SLURM_LOCALID"],
        "NODE_RANK": environ["SLURM_NODEID"],
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": first_host(environ["SLURM_JOB_NODELIST"]),
        "MASTER_PORT": str(PORTS[int(environ["SLURM_JOB_ID"]) % len(PORTS)]),
    }


def first_host(nodes: str) -> str:
    """The first name of a Slurm node list: `gpu[003-005,9],cpu1` begins with `gpu003`."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).partition(",")[0]


def speaks(environ: Mapping[str, str]) -> bool:
    """Whether this process may speak for its run: of several tasks that srun has started, the first."""
    return (rank_environment(environ) or {"RANK": "0"})["RANK"] == "0"


def threads(environ: Mapping[str, str]) -> int | None:
    """The CPU threads of one task, where Slurm was told how many CPUs it has."""
    given = environ.get("SLURM_CPUS_PER_TASK")
    return int(given) if given else None


def meet(placed: Mapping[str, str]) -> None:
    """Waits until every rank is here; the others cannot be before the first.

    Raises:
        UserError: they are not within 300 s.
    """
    from torch.distributed import DistError, TCPStore

    first, ranks = placed["RANK"] == "0", int(placed["WORLD_SIZE"])
    try:
        TCPStore(placed["MASTER_ADDR"], int(placed["MASTER_PORT"]), ranks, first, timedelta(seconds=PATIENCE_S))
    except DistError as error:
        raise UserError(
            f"rank {placed['RANK']} of {ranks} has waited {PATIENCE_S} s for the others", "ranks that begin together",
            "see what the others say, and whether the nodes reach each other",
        ) from error  # fmt: skip
