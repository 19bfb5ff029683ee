"""Programs in the executor: observations, hostile programs, equal results for any number of workers, nothing leaked."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from shared import shared_lines

from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Observation, Status
from rstar_fast.verify.executor import Executor


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2, limits=Limits(wall_s=30, memory_bytes=256 << 20)) as running:
        yield running


@pytest.fixture(scope="module")
def impatient() -> Iterator[Executor]:
    with Executor(workers=2, limits=Limits(wall_s=0.5)) as running:
        yield running


def test_reference_observations() -> None:
    cases = shared_lines("observations.jsonl")
    with Executor(workers=2, style="reference") as executor:
        observations = executor.run_many(case["steps"] for case in cases)
    assert [observation.text for observation in observations] == [case["observation"] for case in cases]
    assert len(cases) == 58


TIMEOUTS = {
    "loop": "while True: pass",
    "one long call": "max(range(10**12))",
    "signals ignored": "from signal import *\nfor s in set(Signals) - {9, 19}: signal(s, SIG_IGN)\nwhile True: pass",
    "catches all": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "sleep": "import time\ntime.sleep(100)",
    "regular expression": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "huge power": "10**(10**10)",
    "destructor": "class A:\n    def __del__(self):\n        while True: pass\na = A()\ndel a",
    "prints for ever": "while True: print('x' * 1000)",
    "answers no more": "import os\nos.closerange(3, 100)\nwhile True: pass",
}


@pytest.mark.parametrize("name", TIMEOUTS)
def test_timeout(impatient: Executor, name: str) -> None:
    observation = impatient.run((TIMEOUTS[name],))
    assert (observation.status, observation.text) == (Status.TIMEOUT, "TimeoutError: not finished after 0.5 s")
    assert 0.5 <= observation.wall_s < 10


DENIED = {
    "fork": "import os\nos.fork()",
    "fork bomb": "import os\nfor _ in range(100):\n    try: os.fork()\n    except OSError as error: last = error\nraise last",
    "subprocess": "import subprocess\nsubprocess.run(['true'])",
    "system": "import os\nos.system('true')",
    "exec": "import os\nos.execv('/bin/true', ['true'])",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "kill itself": "import os\nos.kill(os.getpid(), 9)",
    "kill its parent": "import os\nos.kill(os.getppid(), 9)",
    "password file": "open('/etc/passwd')",
    "home folder": "import os\nos.listdir('/root' if os.getuid() == 0 else os.path.expanduser('~'))",
    "environment": "import os\nopen(f'/proc/{os.getppid()}/environ')",
    "write": "open('/tmp/rstar_fast_hostile', 'w')",
    "shared memory": "open('/dev/shm/rstar_fast_hostile', 'w')",
    "remove": "import os\nos.remove('/tmp/rstar_fast_hostile')",
    "connect": "import socket\nsocket.create_connection(('127.0.0.1', 9))",
    "limits": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
}


@pytest.mark.parametrize("name", DENIED)
def test_denied(executor: Executor, name: str) -> None:
    observation = executor.run((DENIED[name],))
    assert observation.status is Status.ERROR
    assert observation.text.startswith("PermissionError: ")
    assert not Path("/tmp/rstar_fast_hostile").exists() and not Path("/dev/shm/rstar_fast_hostile").exists()


FAILURES = {
    "bytearray(10**11)": (Status.MEMORY, "MemoryError:"),
    "import numpy\nnumpy.ones(10**10)": (Status.MEMORY, "MemoryError: Unable to allocate 74.5 GiB"),
    "hoard = []\nwhile True: hoard.append('x' * 10**6 + str(len(hoard)))": (Status.MEMORY, "MemoryError:"),
    "import ctypes\nctypes.string_at(0)": (Status.CRASH, "CrashError: signal SIGSEGV"),
    "import os\nos.abort()": (Status.CRASH, "CrashError: signal SIGABRT"),
    "import os\nos._exit(7)": (Status.CRASH, "CrashError: exit status 7"),
    "import os\nos._exit(0)": (Status.CRASH, "CrashError: exit status 0"),
    "import signal\nsignal.raise_signal(9)": (Status.CRASH, "CrashError: signal SIGKILL"),
    "import sys\nsys.exit('bye')": (Status.ERROR, "SystemExit: bye"),
    "exit()": (Status.ERROR, "SystemExit:"),
    "raise KeyboardInterrupt": (Status.ERROR, "KeyboardInterrupt:"),
    "def f(): f()\nf()": (Status.ERROR, "RecursionError: maximum recursion depth exceeded"),
    "input()": (Status.ERROR, "EOFError:"),
    "print(10**5000)": (Status.ERROR, "ValueError: Exceeds the limit (4300 digits)"),
    "x = = 1": (Status.ERROR, "SyntaxError: invalid syntax (<unknown>, line 1)"),
    "x = '\0'": (Status.ERROR, "SyntaxError: source code string cannot contain null bytes"),
    "x = '\ud800'": (Status.ERROR, "UnicodeEncodeError: 'utf-8' codec can't encode"),
    "print(1)\nreturn": (Status.ERROR, "SyntaxError: 'return' outside function (<unknown>, line 2)"),
    "import sys\nsys.stdout = None\nprint(1)\n1 / 0": (Status.ERROR, "ZeroDivisionError: division by zero"),
    "import sys\nsys.stdout.close()\nprint(1)": (Status.ERROR, "ValueError: I/O operation on closed file."),
    "import threading, time\nfor _ in range(100):\n    threading.Thread(target=time.sleep, args=(9,)).start()": (
        Status.ERROR,
        "RuntimeError: can't start new thread",
    ),
    "class E(Exception):\n    def __str__(self): 1 / 0\nraise E": (Status.ERROR, "E: <unprintable: ZeroDivisionError>"),
    "open('/nonexistent/file')": (Status.ERROR, "FileNotFoundError: [Errno 2] No such file or directory: '/nonexistent/file'"),
    "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'\\xff' * 100)\n    except OSError: pass": (
        Status.PROTOCOL,
        "ProtocolError:",
    ),
    "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'\\0')\n    except OSError: pass": (
        Status.PROTOCOL,
        "ProtocolError:",
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
    "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\nprint(1)": "1",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\nprint(1)": "1",
    "def f(n): return 0 if n == 0 else f(n - 1)\nimport sys\nsys.setrecursionlimit(10**5)\nf(9000)": "0",
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\nP(3)": "P(x=3)",
    "import pickle\nclass A: v = 3\npickle.loads(pickle.dumps(A())).v": "3",
    "open(0).read()": "",
    "__name__": "__main__",
}


@pytest.mark.parametrize("program", SUCCESSES)
def test_success(executor: Executor, program: str) -> None:
    observation = executor.run((program,))
    assert (observation.text, observation.status) == (SUCCESSES[program], Status.OK)


@pytest.mark.parametrize("program", ["import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"])
def test_unbounded_recursion_ends_within_the_limits(impatient: Executor, program: str) -> None:
    assert impatient.run((program,)).status in (Status.MEMORY, Status.CRASH, Status.TIMEOUT)


def test_siblings_of_hostile_programs_are_unharmed(executor: Executor) -> None:
    hostile = [*FAILURES, *DENIED.values()]
    programs = [step for program in hostile for step in (program, "print(6 * 7)")]
    observations = executor.run_many((program,) for program in programs)
    assert [observation.text for observation in observations[1::2]] == ["42"] * len(hostile)


def test_a_daemon_in_its_own_session_is_killed(executor: Executor) -> None:
    # Native code walks around the audit hook; what it starts must still not outlive the program.
    program = """
import ctypes, os
libc = ctypes.CDLL(None)
if libc.fork() == 0:
    libc.setsid()
    libc.sleep(100)
    os._exit(0)
libc.usleep(50_000)
"""
    assert executor.run((program,)).status is Status.OK
    workers = executor.worker_pids()
    assert sum(len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) for pid in workers) == 0


def test_programs_share_nothing(executor: Executor) -> None:
    patch = "import math, sympy, builtins\nmath.pi = 3\nsympy.pi = 3\nbuiltins.leak = secret = 1\nprint('done')"
    look = "import math, sympy\nprint(math.pi, sympy.pi, 'leak' in dir(__builtins__), 'secret' in globals())"
    observations = executor.run_many([(patch,), (look,)] * 4)
    assert [observation.text for observation in observations] == ["done", f"{3.141592653589793} pi False False"] * 4


def test_the_observation_is_of_the_whole_block(executor: Executor) -> None:
    block = ("<code>\nx = 4\nprint(x)\n<end_of_step>", "\ny = x + 1\n<end_of_step>", "\nprint(y)\n<end_of_code>")
    assert [executor.run(block[:n]).text for n in (1, 2, 3)] == ["4", "4", "4\n5"]


def test_times_and_memory_are_reported(executor: Executor) -> None:
    observation = executor.run(("import time\nbegin = time.process_time()\nwhile time.process_time() < begin + 0.1: pass",))
    assert 0.1 <= observation.cpu_s <= observation.wall_s + 0.05
    assert observation.peak_bytes > 1 << 20


RANDOM = (
    "import random, numpy\nfrom sympy.core.random import rng\n"
    "print(random.random(), numpy.random.rand(), rng.random(), hash('a'), list({'a', 'b', 'c', 'd'}))"
)


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    programs = [(RANDOM,), *((f"print({i}**2, hash('{i}'))",) for i in range(40)), ("1 / 0",), (RANDOM,)]

    def texts(workers: int, seed: int = 0) -> list[tuple[Status, str]]:
        with Executor(workers=workers, seed=seed) as executor:
            return [(observation.status, observation.text) for observation in executor.run_many(programs)]

    one = texts(1)
    assert one[0] == one[-1]
    assert texts(3) == one
    assert texts(1, seed=1)[0] != one[0]


def test_2000_programs_leave_nothing_behind() -> None:
    with Executor(workers=2, preload=("math",)) as executor:
        executor.run_many([("1",)] * 10)
        workers = executor.worker_pids()
        before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in ("self", *workers)]
        observations = executor.run_many([("print(1)",), ("1 / 0",)] * 1000)
        assert [len(os.listdir(f"/proc/{pid}/fd")) for pid in ("self", *workers)] == before
        assert executor.worker_pids() == workers
        for pid in workers:
            assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
    assert {observation.text for observation in observations} == {"1", "ZeroDivisionError: division by zero"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_missing_preloads_are_left_out() -> None:
    with Executor(workers=1, preload=("math", "no_such_module_here")) as executor:
        assert executor.run(("print(2)",)).text == "2"


def test_closed() -> None:
    executor = Executor(workers=1, limits=Limits(wall_s=60))
    running = executor.submit(("while True: pass",))
    waiting = executor.submit(("print(1)",))
    executor.close()
    executor.close()
    lost = Observation(Status.LOST, "LostError: the worker ended before the program did")
    assert (running.result(0), waiting.result(0)) == (lost, lost)
    with pytest.raises(ExecutorError, match="closed"):
        executor.submit(("print(1)",))


def test_nothing_is_left_when_the_main_process_is_killed() -> None:
    script = """
import sys, time
from rstar_fast.verify.base import Limits
from rstar_fast.verify.executor import Executor
executor = Executor(workers=2, preload=("math",), limits=Limits(wall_s=300))
executor.run_many([("1",)] * 8)
for _ in range(2):
    executor.submit(("while True: pass",))
time.sleep(0.5)
print(*executor.worker_pids(), flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        workers = [int(pid) for pid in main.stdout.readline().split()]
        programs = [pid for worker in workers for pid in Path(f"/proc/{worker}/task/{worker}/children").read_text().split()]
        assert len(workers) == len(programs) == 2
        main.kill()
        main.wait()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in [*workers, *programs]):
            assert time.monotonic() < deadline, "processes outlive the main process"
            time.sleep(0.02)


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": 1.5}, {"style": "loud"}, {"seed": -1}, {"seed": True}], ids=lambda options: str(options)
)
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Executor(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", [{"wall_s": 0}, {"wall_s": float("nan")}, {"memory_bytes": 5}, {"output_chars": "1"}, {"wall_s": True}]
)
def test_bad_limits(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"Limits.{next(iter(bad))}"):
        Limits(**bad)  # type: ignore[arg-type]


def test_steps_must_be_texts(executor: Executor) -> None:
    with pytest.raises(ExecutorError, match="expected the texts"):
        executor.submit("print(1)")
