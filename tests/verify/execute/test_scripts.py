"""Scripts in the executor: standard streams, exit codes, limits, and what is left behind."""

from collections.abc import Iterator

import hostile
import pytest

from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Status
from rstar_fast.verify.execute.executor import MAX_STDIN_BYTES, Executor

WALL_S = 60.0


@pytest.fixture(scope="module", params=[True, False], ids=["native", "python"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    limits = Limits(wall_s=WALL_S, memory_bytes=512 << 20, output_chars=4096)
    with Executor(workers=2, limits=limits, native=request.param) as running:
        yield running


ENDS = {
    "output": ("print('hé')", "", (0, "hé\n", "")),
    "input": (
        "import sys\nprint(input(), [*sys.stdin])",
        "a\nb\nc\n",
        (0, "a ['b\\n', 'c\\n']\n", ""),
    ),
    "no input": ("import sys\nprint(repr(sys.stdin.read()))", "", (0, "''\n", "")),
    "input by descriptor": (
        "import os, io\nprint(os.fstat(0).st_size, os.read(0, 9))",
        "12345",
        (0, "5 b'12345'\n", ""),
    ),
    "null bytes": (
        "import sys\nprint(sys.stdin.read() == 'a\\0b', 'x\\0y')",
        "a\0b",
        (0, "True x\0y\n", ""),
    ),
    "large input": ("print(sum(map(int, open(0))))", "7\n" * 1_000_000, (0, "7000000\n", "")),
    "two streams": (
        "import os, sys\nprint('o')\nprint('e', file=sys.stderr)\nos.write(1, b'p')\nsys.exit(3)",
        "",
        (3, "o\np", "e\n"),
    ),
    "not UTF-8": ("import os\nos.write(1, b'\\xff')", "", (0, "\ufffd", "")),
    "last words": ("raise SystemExit('bye')", "", (1, "", "bye\n")),
    "large code": ("raise SystemExit(256 + 7)", "", (7, "", "")),
    "at once": ("import os\nprint(1)\nos._exit(9)", "", (9, "1\n", "")),
    "threads and exit functions": (
        "import atexit, threading, time\natexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\nprint('main')",
        "",
        (0, "main\nlate\nlast\n", ""),
    ),
    "own hook": (
        "import sys\nsys.excepthook = lambda *_: print('hook')\n1/0",
        "",
        (1, "hook\n", ""),
    ),
    "no streams": ("import sys\nsys.stdout = sys.stderr = None\nprint(1)", "", (0, "", "")),
    "names": ("print(__name__, __file__)", "", (0, "__main__ main.py\n", "")),
    "marks are text": ("print('<code>', '<\\\\code>')", "", (0, "<code> <\\code>\n", "")),
    "descriptors": (
        "import os\nfound = []\nfor fd in range(64):\n"
        "    try: found.append((os.fstat(fd), fd)[1])\n"
        "    except OSError: pass\nprint(found)",
        "",
        (0, "[0, 1, 2]\n", ""),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends(name: str, executor: Executor) -> None:
    source, stdin, expected = ENDS[name]
    result = executor.run_script(source, stdin)
    assert (result.exit_code, result.stdout, result.stderr) == expected
    assert result.status is (Status.ERROR if expected[0] else Status.OK)
    assert not result.cut and result.wall_s > 0 and result.cpu_s > 0 and result.peak_bytes > 0


ERRORS = {
    "exception": (
        "print(1)\ndef f():\n    return 1 / 0\nf()",
        "ZeroDivisionError: division by zero",
    ),
    "syntax": ("def f(:", "SyntaxError: invalid syntax"),
    "null byte": ("x = 1\0", "SyntaxError: source code string cannot contain null bytes"),
    "surrogate": ("print('\ud800')", "UnicodeEncodeError: "),
    "recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    "memory": ("bytearray(10**11)", "MemoryError"),
    "fork": ("import os\nos.fork()", "PermissionError: "),
    "connect": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "PermissionError: "),
    "write": ("open('/tmp/rstar_fast_script', 'w')", "PermissionError: "),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "E: <exception str() failed>",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_on_stderr(name: str, executor: Executor) -> None:
    source, message = ERRORS[name]
    result = executor.run_script(source)
    assert (result.status, result.exit_code) == (Status.ERROR, 1)
    assert message in result.stderr.splitlines()[-1]


def test_a_traceback_shows_the_scripts_lines_only(executor: Executor) -> None:
    trace = executor.run_script("def f():\n    return 1 / 0\nf()").stderr
    assert trace.startswith(
        'Traceback (most recent call last):\n  File "main.py", line 3, in <module>'
    )
    assert "return 1 / 0" in trace and "rstar_fast" not in trace


def test_what_was_written_survives_a_kill(executor: Executor) -> None:
    source = "import sys\nprint('a', end='')\nprint('b', end='', file=sys.stderr)\nwhile True: pass"
    result = executor.run_script(source, wall_s=1)
    assert result.status is Status.TIMEOUT and result.exit_code is None
    assert (result.stdout, result.stderr) == ("a", "b")
    assert result.wall_s < WALL_S


def test_signals_are_negative_codes(executor: Executor) -> None:
    result = executor.run_script("import ctypes\nprint(1)\nctypes.string_at(0)")
    assert (result.status, result.exit_code, result.stdout) == (Status.CRASH, -11, "1\n")


def test_streams_are_bounded(executor: Executor) -> None:
    many = "import sys\nprint('<' + 'x' * 200_000 + '>', end='', file=sys.{})"
    for name in ("stdout", "stderr"):
        result = executor.run_script(many.format(name))
        text = getattr(result, name)
        assert result.cut and text.startswith("<xx") and text.endswith("xx>")
        assert len(text) == 4096 + len("...")
    assert not executor.run_script("print('x' * 4095)").cut
    flood = executor.run_script("while True: print('x' * 1000)", wall_s=1)
    assert flood.cut and flood.status is Status.TIMEOUT


def test_memory_is_limited_by_request(executor: Executor) -> None:
    source = "x = bytearray(200 << 20)\nprint(len(x) >> 20)"
    assert executor.run_script(source, memory_bytes=300 << 20).stdout == "200\n"
    assert "MemoryError" in executor.run_script(source, memory_bytes=100 << 20).stderr
    # The limit of the executor holds whatever is asked for.
    more = "x = bytearray(700 << 20)"
    assert "MemoryError" in executor.run_script(more, memory_bytes=1 << 40).stderr
    assert executor.run_script(source).stdout == "200\n"


def test_a_script_leaves_nothing_to_the_next_one(executor: Executor) -> None:
    spoil = "import builtins, sys, math\nmath.pi = 3\nbuiltins.len = None\nsys.stdout = None"
    executor.run_script(spoil)
    assert executor.run_script("import math\nprint(len('ab'), math.pi > 3)").stdout == "2 True\n"


@pytest.mark.slow
@pytest.mark.parametrize("native", [True, False], ids=["native", "python"])
def test_hostile_scripts(native: bool) -> None:
    programs = [case[0] for case in hostile.REPORTED.values() if isinstance(case[0], str)]
    programs += hostile.TIMEOUTS.values()
    limits = Limits(wall_s=1, memory_bytes=128 << 20)
    with Executor(workers=2, limits=limits, native=native) as executor:
        before = executor.report()["pids"]["supervisor"]
        futures = [executor.submit_script(source) for source in programs]
        statuses = {future.result(timeout=500).status for future in futures}
        assert statuses <= {Status.OK, Status.ERROR, Status.CRASH, Status.TIMEOUT}
        assert executor.run_script("print(6 * 7)", wall_s=1).stdout == "42\n"
        assert executor.report()["pids"]["supervisor"] == before
    assert not any(path.exists() for path in hostile.LEAVINGS[:2])


def test_steps_and_scripts_go_side_by_side(executor: Executor) -> None:
    steps = [executor.submit([f"x = {i}\n", "print(x)\n"]) for i in range(20)]
    scripts = [executor.submit_script(f"print({i})") for i in range(20)]
    assert [future.result().text for future in steps] == [str(i) for i in range(20)]
    assert [future.result().stdout for future in scripts] == [f"{i}\n" for i in range(20)]


def test_bad_arguments_are_named(executor: Executor) -> None:
    with pytest.raises(ConfigError, match="wall_s"):
        executor.run_script("", wall_s=0)
    with pytest.raises(ConfigError, match="memory_bytes"):
        executor.run_script("", memory_bytes=7)
    with pytest.raises(ExecutorError, match="source"):
        executor.run_script(7)  # type: ignore[arg-type]
    with pytest.raises(ExecutorError, match="bytes of standard input"):
        executor.run_script("", "x" * (MAX_STDIN_BYTES + 1))
    result = executor.run_script("#" * (1 << 21))
    assert result.status is Status.ERROR and "characters" in result.stderr


def test_steps_have_a_limit_of_their_own(executor: Executor) -> None:
    loop = "print(1)\nwhile True: pass\n"
    late = executor.submit([loop], wall_s=1).result()
    assert late.status is Status.TIMEOUT and late.text.startswith("1\nTimeoutError")
    # It says nothing about other programs that begin in this way.
    slow = "import time\ntime.sleep(0.5)\nprint(2)\n"
    assert executor.submit([slow], wall_s=0.1).result().status is Status.TIMEOUT
    assert executor.run([slow, "print(3)\n"]).text == "2\n3"


def test_a_closed_executor_ends_scripts() -> None:
    executor = Executor(workers=1)
    future = executor.submit_script("print(1)\nwhile True: pass")
    executor.close()
    result = future.result(timeout=60)
    assert (result.status, result.exit_code) == (Status.LOST, None)
    with pytest.raises(ExecutorError, match="closed"):
        executor.run_script("print(1)")
