"""What a program cannot do to other programs: starve, see, crowd out, or outlive its answer."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hostile
import pytest

from rstar_fast.verify import Executor, Limits, Observation, Status
from rstar_fast.verify.execute.source import MAX_CHARS
from rstar_fast.verify.execute.supervisor.outcomes import Outcomes

WALL_S = 3.0


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2, preload=("math",), limits=Limits(wall_s=WALL_S)) as running:
        running.run(["1"])
        yield running


def until(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true within a minute."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def test_programs_that_ask_to_be_replayed_starve_nobody(executor: Executor) -> None:
    evil = [
        executor.submit([f"<code>\n# {i}\n<end_of_step>", *hostile.steps(name)])
        for i in range(2)
        for name in ("asks to be replayed", "asks to be replayed, continued")
    ]
    good = [executor.submit([f"print({i})"]) for i in range(5)]
    assert [future.result(60).text for future in good] == list("01234")
    assert {future.result(60).status for future in evil} <= {Status.PROTOCOL, Status.TIMEOUT}


@pytest.mark.parametrize("name", [name for name in hostile.REPORTED if name.startswith("greets")])
def test_a_false_greeting_ends_no_other_program(executor: Executor, name: str) -> None:
    before = executor.report()["pids"]["supervisor"]
    innocent = executor.submit(["import time\ntime.sleep(1)\nprint('innocent')"])
    executor.run(hostile.steps(name))
    assert innocent.result(60).text == "innocent"
    assert executor.report()["pids"]["supervisor"] == before


def test_many_threads_of_one_program_leave_room_for_others(executor: Executor) -> None:
    crowd = executor.submit(hostile.steps("thousands of threads"))
    time.sleep(0.5)
    assert [one.text for one in executor.run_many([f"print({i})"] for i in range(5))] == list(
        "01234"
    )
    if not executor.isolation().means["approved clones"]:
        assert int(crowd.result(60).text) <= 2 * (Limits().threads + 32)


def test_a_program_that_answers_and_goes_on_is_ended(executor: Executor) -> None:
    assert executor.run(hostile.steps("goes on as a snapshot")).status is Status.OK
    supervisor = executor.report()["pids"]["supervisor"][0]
    known = executor.report()["pids"]
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children")

    def running() -> set[str]:
        states = {}
        for pid in children.read_text().split():
            try:
                states[pid] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
        return {pid for pid, state in states.items() if state == "R"} - {
            str(pid) for pid in known["zygotes"]
        }

    assert until(lambda: not running())


def test_snapshots_count_what_they_hold() -> None:
    def holding(i: int, megabytes: int) -> list[str]:
        return [f"<code>\nx = bytearray(b'{i}') * ({megabytes} << 20)\n<end_of_step>"]

    with Executor(workers=1, preload=("math",), snapshot_bytes=64 << 20) as executor:
        executor.run_many(holding(i, 100) for i in range(3))
        assert executor.report()["num_snapshots"] == 0
        executor.run_many(holding(i, 20) for i in range(6))
        report = executor.report()
        assert 1 <= report["num_snapshots"] <= 3
        assert 20 << 20 <= report["snapshot_bytes"] <= 64 << 20


def test_memory_that_a_dropped_snapshot_shared_counts_on() -> None:
    steps = [
        "<code>\nx = bytearray(b'1') * (30 << 20)\n<end_of_step>",
        "\ny = 1\n<end_of_step>",
        "\nz = 1\n<end_of_step>",
    ]
    with Executor(workers=1, preload=("math",), snapshot_bytes=40 << 20) as executor:
        for n in (1, 2, 3):
            executor.run(steps[:n])
        executor.run_many([f"<code>\na = {i}\n<end_of_step>"] for i in range(40))
        report = executor.report()
        resident = sum(map(private_bytes, report["pids"]["snapshots"]))
        assert resident <= 40 << 20 and report["snapshot_bytes"] <= 40 << 20


def private_bytes(pid: int) -> int:
    """Return what a process does not share, bytes. 0 if it was dropped by now."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


SIBLINGS = {
    "a shared mapping": (
        "import mmap\nm = mmap.mmap(-1, 4096)",
        "m[0] = 65\nprint('A')",
        "print(m[0])",
        "0",
    ),
    "a pipe": (
        "import os\nr, w = os.pipe()\nos.dup2(r, 0)\nos.dup2(w, 1)\nos.close(r)\nos.close(w)\n"
        "os.set_blocking(0, False)",
        "print('A', os.write(1, b'x'))",
        "os.read(0, 9)",
        "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    ),
    "the place in a file": (
        "import os\nf = os.open(os.__file__, 0)\nos.dup2(f, 0)\nos.close(f)",
        "print('A', len(os.read(0, 100)))",
        "print(os.lseek(0, 0, 1))",
        "0",
    ),
    "flags of the null device": (
        "import fcntl",
        "fcntl.fcntl(0, fcntl.F_SETFL, 0o2000)\nprint('A')",
        "print(fcntl.fcntl(0, fcntl.F_GETFL) & 0o2000)",
        "0",
    ),
    "a changed null device": (
        "import fcntl\nfcntl.fcntl(0, fcntl.F_SETFL, 0o2000)",
        "print('A')",
        "print(fcntl.fcntl(0, fcntl.F_GETFL) & 0o2000)",
        "1024",
    ),
}


@pytest.mark.parametrize("shared", SIBLINGS)
def test_siblings_share_nothing_that_changes(executor: Executor, shared: str) -> None:
    if shared == "a shared mapping" and executor.isolation().means["approved clones"]:
        pytest.skip("where the kernel cannot ask about shared mappings, there are none")
    beginning, writing, reading, expected = SIBLINGS[shared]
    steps = [f"<code>\n{beginning}\n<end_of_step>"]
    executor.run(steps)
    assert executor.run([*steps, f"\n{writing}\n<end_of_code>"]).text.startswith("A")
    assert executor.run([*steps, f"\n{reading}\n<end_of_code>"]).text == expected


def test_unrelated_programs_do_not_share_the_null_device(executor: Executor) -> None:
    flags = "import fcntl\nprint([fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2)])"
    before = executor.run([flags]).text
    executor.run(["import fcntl\nfor fd in (0, 1, 2): fcntl.fcntl(fd, fcntl.F_SETFL, 0o6000)"])
    assert executor.run([f"{flags}\n"]).text == before


def test_an_answer_can_be_given_after_builtins_are_gone(executor: Executor) -> None:
    observation = executor.run(["import builtins\nbuiltins.len = None"])
    assert observation.status is Status.ERROR
    assert observation.text.startswith("TypeError: 'NoneType' object is not callable")


def test_a_program_that_is_too_long_is_not_run(executor: Executor) -> None:
    observation = executor.run(["x" * (MAX_CHARS + 1)])
    assert observation.status is Status.ERROR
    assert observation.text.startswith(f"SyntaxError: the program has {MAX_CHARS + 1} characters")


def test_modules_may_take_longer_to_load_than_a_program_may_run(tmp_path: Path) -> None:
    (tmp_path / "takes_long.py").write_text(
        "import time\nend = time.process_time() + 2.5\nwhile time.process_time() < end: pass\n"
    )
    assert (
        printed_by(
            tmp_path,
            """
        with Executor(workers=1, preload=("takes_long",), limits=Limits(wall_s=0.5)) as executor:
            print(executor.run(["import takes_long\\nprint(takes_long.end > 2)"]).text)
        """,
        )
        == "True"
    )


def test_a_zygote_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text(
        "import os, sys\nprint('no such library', file=sys.stderr, flush=True)\nos._exit(3)\n"
    )
    assert (
        printed_by(
            tmp_path,
            """
        with Executor(workers=1, preload=("breaks",)) as executor:
            try:
                executor.run(["print(1)"])
            except ExecutorError as error:
                print("exit status 3: no such library" in str(error))
        """,
        )
        == "True"
    )


def test_what_stands_in_for_a_module_may_be_preloaded(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "import sys, types\n"
        "class Odd(types.ModuleType):\n"
        "    def __getattr__(self, name): return object()\n"
        "sys.modules['odd.classes'] = Odd('odd.classes')\n"
    )
    assert (
        printed_by(
            tmp_path,
            """
        with Executor(workers=1, preload=("odd",)) as executor:
            print(executor.run(["print(1)"]).text)
        """,
        )
        == "1"
    )


def test_few_descriptors_are_enough(tmp_path: Path) -> None:
    assert (
        printed_by(
            tmp_path,
            """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with Executor(workers=2, preload=("math",)) as executor:
            programs = [[f"<code>\\nx = {i}\\n<end_of_step>"] for i in range(150)]
            print({one.status.value for one in executor.run_many(programs)})
        """,
        )
        == "{'ok'}"
    )


def printed_by(folder: Path, program: str) -> str:
    """Run a program with the executor's names, from a folder of modules. Returns its output."""
    names = (
        "from rstar_fast.errors import ExecutorError\n"
        "from rstar_fast.verify import Executor, Limits\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", names + textwrap.dedent(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_outcomes_stay_within_their_bytes() -> None:
    outcomes, failure = Outcomes(100, 10_000), Observation(Status.ERROR, "")
    for i in range(50):
        outcomes.put(f"{i}" + "x" * 1000, failure)
    kept = [i for i in range(50) if f"{i}" + "x" * 1000 in outcomes]
    assert kept == list(range(50 - len(kept), 50)) and 5 <= len(kept) < 10
    outcomes.put("y" * 20_000, None)
    assert "y" * 20_000 not in outcomes
