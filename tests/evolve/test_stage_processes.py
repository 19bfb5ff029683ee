"""The processes of stages: forked from a server that has imported what takes seconds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from evolve_options import options

from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.stage_processes import StageProcess, StageProcesses
from rstar_fast.store.config_file import write_config

GREEDY = "round-0/greedy"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run whose first stage can be done at once."""
    (tmp_path / "run/logs").mkdir(parents=True)
    write_config(tmp_path / "run", {"options": options(tmp_path), "files": {}})
    return tmp_path / "run"


@pytest.fixture
def server(run: Path) -> Iterator[StageProcesses]:
    processes = StageProcesses({**os.environ, "OMP_NUM_THREADS": "2"}, run / "logs/server.txt")
    yield processes
    processes.close()


def begin(server: StageProcesses, run: Path, stage: str = GREEDY) -> StageProcess:
    words = [str(run), stage, "--device", "cpu", "--workers", "1", "--unconfined"]
    return server.start(words, run / "logs/stage.txt")


def server_pid(server: StageProcesses) -> int:
    assert server._server
    return server._server.pid


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def wait_for_a_child(server: StageProcesses, process: StageProcess) -> int:
    deadline = time.monotonic() + 300
    while not (found := children(server_pid(server))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return found[0]


def gone(pid: int) -> bool:
    """Wait until a process has ended. A zombie that nobody waits for has."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_stage_is_forked_from_a_server_of_one_thread(server: StageProcesses, run: Path) -> None:
    process = begin(server, run)
    pid = wait_for_a_child(server, process)
    assert len(os.listdir(f"/proc/{server_pid(server)}/task")) == 1
    # It is a fork and no fresh process, and it is in the group that Ctrl-C reaches.
    assert b"fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert os.getpgid(pid) == os.getpgid(0)
    assert process.wait() == 0
    assert read_manifest(run / GREEDY)
    assert (run / "logs/server.txt").read_text() == ""


def test_a_stage_that_cannot_be_done_says_so_in_its_log(server: StageProcesses, run: Path) -> None:
    process = begin(server, run, "round-1/policy")
    assert process.wait() == 1
    log = (run / "logs/stage.txt").read_text()
    assert log.splitlines()[-1] == (
        "ConfigError: round-1/policy: needs round-1/data, which is not finished"
    )


def test_a_stage_can_be_killed_and_another_begun(server: StageProcesses, run: Path) -> None:
    first = begin(server, run)
    pid = wait_for_a_child(server, first)
    first.kill()
    assert first.wait() == -signal.SIGKILL and gone(pid)
    first.kill()
    assert begin(server, run).wait() == 0


def test_a_killed_server_leaves_no_stage_and_the_next_stage_has_another(
    server: StageProcesses, run: Path
) -> None:
    process = begin(server, run)
    pid = wait_for_a_child(server, process)
    killed = server_pid(server)
    os.kill(killed, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and gone(pid)
    assert begin(server, run).wait() == 0


PROGRAM = """
import sys, time
from pathlib import Path
from rstar_fast.evolve.stage_processes import StageProcesses
run = Path(sys.argv[1])
server = StageProcesses({}, run / "logs/server.txt")
process = server.start([str(run), "round-0/greedy", "--device", "cpu"], run / "logs/stage.txt")
print(server._server.pid, flush=True)
process.wait()
"""


def test_a_killed_run_leaves_neither_a_server_nor_a_stage(run: Path) -> None:
    command = subprocess.Popen([sys.executable, "-c", PROGRAM, str(run)], stdout=subprocess.PIPE)
    assert command.stdout
    pid = int(command.stdout.readline())
    deadline = time.monotonic() + 300
    while not (stages := children(pid)):
        assert command.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    command.kill()
    command.communicate()
    assert gone(pid) and gone(stages[0])


def test_a_closed_server_leaves_no_stage(server: StageProcesses, run: Path) -> None:
    pid = wait_for_a_child(server, begin(server, run))
    server.close()
    assert gone(pid)
