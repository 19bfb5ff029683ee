"""Programs in the executor.

Observations, hostile programs, equal results for any number of workers, and nothing left behind.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import container
import hostile
import ordinary_user
import pytest
from golden import golden_lines

from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Observation, Status
from rstar_fast.verify.execute.executor import Executor


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2, limits=Limits(wall_s=30, memory_bytes=256 << 20)) as running:
        yield running


@pytest.fixture(scope="module")
def hostile_executor() -> Iterator[Executor]:
    with Executor(
        workers=2, limits=Limits(wall_s=hostile.WALL_S, memory_bytes=128 << 20)
    ) as running:
        yield running


@pytest.mark.parametrize("native", [True, False], ids=["native", "python"])
@pytest.mark.parametrize("snapshot_bytes", [1 << 28, 0], ids=["snapshots", "replay"])
def test_reference_observations(native: bool, snapshot_bytes: int) -> None:
    cases = golden_lines("observations.jsonl")
    expected = [case["observation"] for case in cases]
    assert len(cases) == 58
    with Executor(
        workers=2, style="reference", native=native, snapshot_bytes=snapshot_bytes
    ) as executor:
        assert [
            observation.text for observation in executor.run_many(case["steps"] for case in cases)
        ] == expected
        step_by_step = [
            [executor.run(case["steps"][: n + 1]) for n in range(len(case["steps"]))][-1]
            for case in cases
        ]
        assert [observation.text for observation in step_by_step] == expected


@pytest.mark.slow
def test_hostile_programs_among_siblings(hostile_executor: Executor) -> None:
    hostile_executor.run(["1"])
    before = hostile.state(hostile_executor)
    assert hostile.run_all(hostile_executor, rounds=1, seed=0) == []
    deadline = time.monotonic() + 20
    while hostile.state(hostile_executor) != before and time.monotonic() < deadline:
        time.sleep(0.1)
        hostile_executor.run(["1"])
    assert hostile.state(hostile_executor) == before


SETTINGS = {
    "an ordinary user": [ordinary_user.__file__],
    "a container": [container.__file__],
    "a container of an ordinary user": [ordinary_user.__file__, container.__file__],
    "a watched container": [container.__file__, "--questions-taken"],
}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_other_users_and_containers_are_as_safe(setting: str) -> None:
    words = SETTINGS[setting]
    is_user = ordinary_user.__file__ in words
    if is_user and os.geteuid() != 0:
        pytest.skip("every other test runs as an ordinary user already")
    done = subprocess.run(
        [sys.executable, *words, hostile.__file__, "1"], capture_output=True, text=True
    )
    if done.returncode == ordinary_user.NOT_PERMITTED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    user = ordinary_user.USER if is_user else os.geteuid()
    assert done.stdout.startswith(f"uid {user}; cloned by C++")
    assert ("network namespace" in done.stdout) == (container.__file__ in words)
    assert ("approved clones" in done.stdout) == ("--questions-taken" in words)


FAILURES = {
    "print(1)\nreturn": (
        Status.ERROR,
        "1\nSyntaxError: 'return' outside function (<unknown>, line 2)",
    ),
    "import sys\nsys.stdout.close()\nprint(1)": (
        Status.ERROR,
        "ValueError: I/O operation on closed file.",
    ),
    "class E(Exception):\n    def __str__(self): 1 / 0\nraise E": (
        Status.ERROR,
        "E: <unprintable: ZeroDivisionError>",
    ),
    "open('/nonexistent/file')": (
        Status.ERROR,
        "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/file'",
    ),
    "open('data.csv')": (
        Status.ERROR,
        "FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'",
    ),
    "open('/tmp/nonexistent')": (
        Status.ERROR,
        "PermissionError: [Errno 13] Permission denied: '/tmp/nonexistent'",
    ),
    "import no_such_module": (
        Status.ERROR,
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
}


@pytest.mark.parametrize("program", FAILURES)
def test_failure(executor: Executor, program: str) -> None:
    status, text = FAILURES[program]
    observation = executor.run((program,))
    assert observation.status is status
    assert observation.text.startswith(text)


SUCCESSES = {
    "print('x' * 50_000_000)": "x" * 512 + "..." + "x" * 511,
    "for i in range(300_000): print('y')": ("y\n" * 256) + "..." + ("y\n" * 256)[:-1],
    "import sys\nsys.stderr.write('x' * 100_000_000)\nprint(1)": "1",
    "import sys\nsys.stdout.buffer.write(b'a\\xff')\nprint('b')": "a\ufffdb",
    "import sys\nsys.stdout.write('abc')": "abc",
    "import sys\nsys.__stdout__.write('abc')\nsys.stdout.reconfigure(encoding='utf-8')": "abc",
    "import sys\nsys.stdout = None\nprint(1)": "",
    "import sys\nprint(1)\nsys.stdout.close()": "1",
    "print('\\ud800')": "?",
    "from threading import *\nThread(target=Event().wait, daemon=True).start()\nprint(1)": "1",
    "from threading import *\nThread(target=Event().wait).start()\nprint(1)": "1",
    "def f(n): return n and f(n - 1)\nimport sys\nsys.setrecursionlimit(10**5)\nf(9000)": "0",
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\nP(3)": "P(x=3)",
    "import pickle\nclass A: v = 3\npickle.loads(pickle.dumps(A())).v": "3",
    "open(0).read()": "",
    "__name__": "__main__",
}


@pytest.mark.parametrize("program", SUCCESSES)
def test_success(executor: Executor, program: str) -> None:
    observation = executor.run((program,))
    assert (observation.text, observation.status) == (SUCCESSES[program], Status.OK)


def with_private_files(executor: Executor) -> Executor:
    if reason := executor.isolation().means["private file system"]:
        pytest.skip(f"no private file system: {reason}")
    return executor


def test_a_folder_for_caches_looks_writable_and_takes_nothing(executor: Executor) -> None:
    asks = (
        "import os\nfolder = os.environ['MPLCONFIGDIR']\nos.makedirs(folder, exist_ok=True)\n"
        "print(os.path.isdir(folder), os.access(folder, os.W_OK))\n"
    )
    observation = with_private_files(executor).run((asks,))
    assert observation.text == "True True"
    observation = executor.run((f"{asks}open(folder + '/fonts.json', 'w')",))
    assert observation.text.startswith("True True\nPermissionError: ")


@pytest.mark.parametrize("show", ["plt.savefig(io.BytesIO())", "plt.show()"])
def test_matplotlib_can_be_imported(executor: Executor, show: str) -> None:
    pytest.importorskip("matplotlib")
    program = f"import io\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n{show}\nprint('ok')"
    observation = with_private_files(executor).run((program,))
    assert (observation.text, observation.status) == ("ok", Status.OK)


def test_the_observation_is_of_the_whole_block(executor: Executor) -> None:
    block = (
        "<code>\nx = 4\nprint(x)\n<end_of_step>",
        "\ny = x + 1\n<end_of_step>",
        "\nprint(y)\n<end_of_code>",
    )
    assert [executor.run(block[:n]).text for n in (1, 2, 3)] == ["4", "4", "4\n5"]


def test_times_and_memory_are_reported(executor: Executor) -> None:
    observation = executor.run(
        ("import time\nbegin = time.process_time()\nwhile time.process_time() < begin + 0.1: pass",)
    )
    assert 0.1 <= observation.cpu_s <= observation.wall_s + 0.05
    assert observation.peak_bytes > 1 << 20


RANDOM = (
    "import random, numpy\nfrom sympy.core.random import rng\n"
    "print(random.random(), numpy.random.rand(), rng.random())\n"
    "print(hash('a'), list({'a', 'b', 'c', 'd'}))"
)


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    programs = [
        (RANDOM,),
        *((f"print({i}**2, hash('{i}'))",) for i in range(40)),
        ("1 / 0",),
        (RANDOM,),
    ]

    def texts(workers: int, seed: int = 0) -> list[tuple[Status, str]]:
        with Executor(workers=workers, seed=seed) as executor:
            return [
                (observation.status, observation.text)
                for observation in executor.run_many(programs)
            ]

    one = texts(1)
    assert one[0] == one[-1]
    assert texts(3) == one
    assert texts(1, seed=1)[0] != one[0]


def test_the_supervisor_sleeps_while_programs_wait_for_their_turn() -> None:
    ticks_per_s = os.sysconf("SC_CLK_TCK")

    def used_s() -> float:
        fields = Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks_per_s

    with Executor(workers=1) as executor:
        executor.run(["1"])
        (supervisor,) = executor.report()["pids"]["supervisor"]
        before = used_s()
        waiting = [executor.submit([f"import time\ntime.sleep(1)\n{i}"]) for i in range(4)]
        assert [future.result().text for future in waiting] == list("0123")
        # It used some 10 ms. Processor time, unlike wall time, is not that of others.
        assert used_s() - before < 0.4


def test_2000_programs_leave_nothing_behind() -> None:
    with Executor(workers=2, preload=("math",), snapshot_bytes=8 << 20) as executor:
        executor.run_many([("print(1)",)] * 10)
        before = hostile.state(executor)
        observations = executor.run_many([("print(1)",), ("1 / 0",)] * 1000)
        report = executor.report()
        assert report["snapshot_bytes"] <= 8 << 20
        assert hostile.state(executor) == before
        pids = [pid for kind in report["pids"].values() for pid in kind]
    assert {observation.text for observation in observations} == {
        "1",
        "ZeroDivisionError: division by zero",
    }
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Return whether a process is still there after 10 s."""
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            return False
        time.sleep(0.02)
    return True


def test_missing_preloads_are_left_out() -> None:
    with Executor(workers=1, preload=("math", "no_such_module_here")) as executor:
        assert executor.run(("print(2)",)).text == "2"


def test_closed() -> None:
    executor = Executor(workers=1, limits=Limits(wall_s=60))
    running = executor.submit(("while True: pass",))
    waiting = executor.submit(("print(1)",))
    executor.close()
    executor.close()
    lost = Observation(Status.LOST, "LostError: the processes that were to run the program ended")
    assert (running.result(0), waiting.result(0)) == (lost, lost)
    with pytest.raises(ExecutorError, match="closed"):
        executor.submit(("print(1)",))


def test_nothing_is_left_when_the_main_process_is_killed() -> None:
    script = """
import sys, time
from rstar_fast.verify import Executor, Limits
executor = Executor(workers=2, preload=("math",), limits=Limits(wall_s=300))
executor.run_many([("1",)] * 8)
for _ in range(2):
    executor.submit(("while True: pass",))
time.sleep(0.5)
pids = executor.report()["pids"]
print(len(pids["programs"]), *[pid for kind in pids.values() for pid in kind], flush=True)
time.sleep(300)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as main:
        assert main.stdout is not None
        num_programs, *pids = map(int, main.stdout.readline().split())
        assert num_programs == 2 and len(pids) >= 5
        main.kill()
        main.wait()
    assert not [pid for pid in pids if alive(pid)]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"style": "loud"},
        {"seed": -1},
        {"seed": True},
        {"snapshot_bytes": -1},
        {"preload": "math"},
    ],
    ids=lambda options: str(options),
)
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Executor(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        {"wall_s": 0},
        {"wall_s": float("nan")},
        {"memory_bytes": 5},
        {"output_chars": "1"},
        {"wall_s": True},
        {"threads": -1},
    ],
)
def test_bad_limits(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"Limits.{next(iter(bad))}"):
        Limits(**bad)  # type: ignore[arg-type]


def test_steps_must_be_texts(executor: Executor) -> None:
    for wrong in ("print(1)", [1], None, 5):
        with pytest.raises(ExecutorError, match="expected the texts"):
            executor.submit(wrong)  # type: ignore[arg-type]
    with pytest.raises(ExecutorError, match="got none"):
        executor.submit([])
