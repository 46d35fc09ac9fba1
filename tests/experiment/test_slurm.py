import threading

import pytest

from duogen.errors import UserError
from duogen.experiment import slurm
from duogen.experiment.crew import free_port
from duogen.experiment.slurm import first_host, meet, rank_environment, speaks, threads

TASK = {
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "2",
    "SLURM_NODEID": "1",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "20012",
}


def test_a_task_of_several_is_one_rank_of_that_many():
    assert rank_environment(TASK) == {
        "RANK": "5", "LOCAL_RANK": "2", "NODE_RANK": "1", "WORLD_SIZE": "6",
        "MASTER_ADDR": "gpu07", "MASTER_PORT": "10012",
    }  # fmt: skip


@pytest.mark.parametrize(
    "environ", [{}, {"SLURM_NTASKS": "6", "SLURM_PROCID": "0"}, TASK | {"SLURM_STEP_NUM_TASKS": "1"}]
)
def test_no_slurm_a_batch_script_and_a_single_task_are_no_rank(environ):
    assert rank_environment(environ) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("vm", "vm"),
        ("a1,b2", "a1"),
        ("gpu[003-005,9],cpu1", "gpu003"),
        ("rack[2,5]-node[10-11].site", "rack2-node10.site"),
        ("node-a[1-2]", "node-a1"),
    ],
)
def test_the_first_host_of_a_node_list(nodes, first):
    assert first_host(nodes) == first


def test_ports_are_free_to_use_and_differ_between_neighbouring_jobs():
    ports = {int(rank_environment(TASK | {"SLURM_JOB_ID": str(job)})["MASTER_PORT"]) for job in range(19990, 20010)}
    assert len(ports) == 20
    assert min(ports) >= 10000
    assert max(ports) < 30000


@pytest.mark.parametrize(
    ("environ", "spoken"),
    [({}, True), (TASK, False), (TASK | {"SLURM_PROCID": "0"}, True), (TASK | {"SLURM_STEP_NUM_TASKS": "1"}, True)],
)
def test_of_several_tasks_the_first_speaks(environ, spoken):
    assert speaks(environ) is spoken


@pytest.mark.parametrize(("given", "number"), [({"SLURM_CPUS_PER_TASK": "3"}, 3), ({}, None)])
def test_a_task_has_as_many_threads_as_slurm_gives_it_cpus(given, number):
    assert threads(TASK | given) == number


def there(rank, port):
    return {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def test_the_first_rank_comes_last_and_its_port_is_free_again():
    port = free_port()
    for _ in range(2):
        met = []
        second = threading.Thread(target=lambda met=met: (meet(there(1, port)), met.append(1)))
        second.start()
        met.append("what the first does before")
        meet(there(0, port))
        second.join()
        assert met == ["what the first does before", 1]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_does_not_wait_for_ever(rank, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE_S", 1)
    with pytest.raises(UserError, match=f"rank {rank} of 2 has waited 1 s"):
        meet(there(rank, free_port()))
