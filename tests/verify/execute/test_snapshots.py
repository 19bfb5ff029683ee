"""Programs that are run step by step from snapshots.

Observations equal those of whole runs, and killed processes lose nothing.
"""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import restored_interpreter as restored_interpreter

from rstar_fast.errors import ExecutorError, IsolationError
from rstar_fast.verify import Executor, Limits, Observation, Status
from rstar_fast.verify.execute import executor as executor_module
from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.child.program import NotIncremental, Program
from rstar_fast.verify.execute.isolation import Isolation
from rstar_fast.verify.execute.source import continues, source_of

PIECES = [
    "x = 1",
    "x += 1",
    "print(x)",
    "print('a', x)",
    "x",
    "x * 0.123456789",
    "# a comment",
    "",
    "for i in range(3):",
    "    print(i)",
    "    x += i",
    "else:",
    "if x > 2:",
    "y = [x,",
    "2]",
    "s = '''",
    "'''",
    "def f(n):",
    "    return n + x",
    "f(3)",
    "print(f(2))",
    "1 / 0",
    "raise SystemExit('bye')",
    "import math; print(math.pi)",
    "from __future__ import annotations",
    "z = 3; print(z); print(z)",
    "try: 1 / 0\nexcept ZeroDivisionError: print('caught')",
    "\\",
    "while x < 4: x += 1",
    "print = str",
    "x = 1 if True else \\",
    "class A: pass",
    "import random; print(random.random())",
    "del x",
]


def whole(source: str, style: Literal["stdout", "reference"]) -> str:
    program = Program(style, Capture(1 << 20))
    try:
        return program.extend(source)
    except BaseException as error:
        return program.failure(error)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(PIECES).filter(lambda piece: "random" not in piece), max_size=4),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["stdout", "reference"]),
    st.sampled_from(["\n", ""]),
)
def test_extending_a_program_is_running_it_whole(
    steps: list[list[str]], style: Literal["stdout", "reference"], end: str
) -> None:
    texts = ["\n" * (i > 0 and not end) + "\n".join(step) + end for i, step in enumerate(steps)]
    program, executed, failed = Program(style, Capture(1 << 20)), "", False
    for n in range(len(texts)):
        source = "".join(texts[: n + 1])
        expected = whole(source, style)
        sys.stdout = sys.__stdout__ = program.stdout  # type: ignore[misc, assignment]
        if failed or not continues(source, executed):
            return
        try:
            observed = program.extend(source[len(executed) :])
        except NotIncremental:
            return
        except BaseException as error:
            observed, failed = program.failure(error), True
        executed = source
        assert observed == expected


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, list[Executor]]]:
    """For each style: with snapshots, without them, and with few snapshots cloned by Python."""
    setups: list[dict[str, object]] = [
        {},
        {"snapshot_bytes": 0},
        {"native": False, "snapshot_bytes": 4 << 20},
    ]
    limits = Limits(wall_s=20)
    running = {
        style: [
            Executor(workers=2, preload=("math",), limits=limits, style=style, **setup)
            for setup in setups
        ]  # type: ignore[arg-type]
        for style in ("stdout", "reference")
    }
    yield running
    for same_style in running.values():
        for executor in same_style:
            executor.close()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(PIECES), max_size=4).map(lambda step: "\n".join(["", *step])),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["stdout", "reference"]),
)
def test_steps_from_snapshots_show_what_replayed_ones_do(
    executors: dict[str, list[Executor]], steps: list[str], style: str
) -> None:
    texts = [f"<code>{steps[0]}\n<end_of_step>", *(f"{step}\n<end_of_step>" for step in steps[1:])]
    programs = [texts[: n + 1] for n in range(len(texts))]
    one_by_one, replayed, python = (
        [executor.run(program) for program in programs] for executor in executors[style]
    )
    at_once = [executor.run_many(programs) for executor in executors[style]]
    seen = [
        [(one.status, one.text) for one in observations]
        for observations in (one_by_one, replayed, python, *at_once)
    ]
    assert seen == [seen[1]] * 6


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2, preload=("math",), limits=Limits(wall_s=2)) as running:
        yield running


COUNTING = [
    "<code>\ncount = []\n<end_of_step>",
    "\ncount.append(1)\nprint(len(count))\n<end_of_step>",
]


def test_siblings_do_not_see_each_other(executor: Executor) -> None:
    observations = executor.run_many(
        [*COUNTING, f"\ncount.append({i})\nprint(count)\n<end_of_code>"] for i in range(20)
    )
    assert [observation.text for observation in observations] == [f"1\n[1, {i}]" for i in range(20)]


def test_a_step_runs_once(executor: Executor) -> None:
    slow = [
        "<code>\nimport time\nbegin = time.process_time()\n"
        "while time.process_time() < begin + 0.3: pass\n<end_of_step>"
    ]
    assert executor.run(slow).cpu_s >= 0.3
    after = executor.run_many([*slow, f"\nprint({i})\n<end_of_step>"] for i in range(12))
    assert [observation.text for observation in after] == [str(i) for i in range(12)]
    assert sum(observation.cpu_s for observation in after) < 12 * 0.3 / 2


def test_the_time_limit_is_for_the_whole_block(executor: Executor) -> None:
    sleep = "\nimport time\ntime.sleep(1.5)\n"
    assert executor.run([f"<code>{sleep}<end_of_step>"]).status is Status.OK
    assert (
        executor.run([f"<code>{sleep}<end_of_step>", f"{sleep}<end_of_step>"]).text
        == "TimeoutError: not finished after 2 s"
    )


def test_what_follows_a_failure_fails_without_running_it_again(executor: Executor) -> None:
    loop = "<code>\nwhile True: pass\n<end_of_step>"
    assert executor.run([loop]).status is Status.TIMEOUT
    # This would take 80 s if the loop ran again each time.
    again = executor.run_many([loop, f"\nx = {i}\n<end_of_step>"] for i in range(40))
    assert {(one.status, one.text) for one in again} == {
        (Status.TIMEOUT, "TimeoutError: not finished after 2 s")
    }
    assert (
        executor.run([loop, "\nx = = 1\n<end_of_step>"]).text
        == "SyntaxError: invalid syntax (<unknown>, line 4)"
    )


HOURS = "\nimport time\ntime.sleep(9999)"
AFTER_OUTPUT = {
    "print('a')" + HOURS: "a\nTimeoutError: not finished after 2 s",
    "print('a', end='')" + HOURS: "a\nTimeoutError: not finished after 2 s",
    "print('é\\ud800')" + HOURS: "é?\nTimeoutError: not finished after 2 s",
    "print('a' * 3000)\nwhile True: pass": (
        "a" * 512 + "..." + "a" * 475 + "\nTimeoutError: not finished after 2 s"
    ),
    # More than is kept of a killed program: its end would depend on the machine's speed.
    "while True: print('a' * 99)": ("a" * 99 + "\n") * 5
    + "a" * 12
    + "...\nTimeoutError: not finished after 2 s",
    "print('a')\nimport os\nos._exit(7)": "a\nCrashError: exit status 7",
    "print('a')\nimport ctypes\nctypes.string_at(0)": "a\nCrashError: signal SIGSEGV",
    "print('a')\nbytearray(10**11)": "a\nMemoryError:",
    "print('a')\n1 / 0": "a\nZeroDivisionError: division by zero",
    "print('a')\nraise SystemExit": "a\nSystemExit:",
}


@pytest.mark.parametrize(
    "setup",
    [{}, {"snapshot_bytes": 0}, {"native": False}],
    ids=["snapshots", "replay", "python"],
)
def test_what_was_printed_before_a_failure_is_shown(setup: dict[str, Any]) -> None:
    beginning = "<code>\nprint('first')\n<end_of_step>"
    alone = [(program,) for program in AFTER_OUTPUT]
    # The same programs behind a step that printed something, and a step behind them.
    behind = [(beginning, f"\n{program}\n<end_of_step>") for program in AFTER_OUTPUT]
    after = [(*steps, "\nx = 1\n<end_of_step>") for steps in behind]
    with Executor(workers=8, preload=("math",), limits=Limits(wall_s=2), **setup) as executor:
        executor.run([beginning])
        seen = [one.text for one in executor.run_many([*alone, *behind])]
        if not setup:
            seen += [one.text for one in executor.run_many(after)]
    count = len(AFTER_OUTPUT)
    assert seen[:count] == list(AFTER_OUTPUT.values())
    for text, own in zip(seen[count : 2 * count], AFTER_OUTPUT.values(), strict=True):
        assert text.startswith("first\n" + own[:400])
        assert text.endswith(own[-30:])
    assert seen[2 * count :] in ([], seen[count : 2 * count])


def test_the_reference_style_drops_what_was_printed_before_a_failure() -> None:
    limits = Limits(wall_s=2)
    with Executor(workers=1, preload=("math",), limits=limits, style="reference") as executor:
        observations = executor.run_many(
            [["print(1)\nprint(2)\nwhile True: print(3)"], ["import os\nprint(1)\nos._exit(3)"]]
        )
    assert [one.text for one in observations] == [
        "TimeoutError: not finished after 2 s",
        "CrashError: exit status 3",
    ]


def test_a_snapshot_has_no_pipe_of_its_own(executor: Executor) -> None:
    steps = ["<code>\nimport os\nprint(1)\n<end_of_step>", "\nprint(os.fstat(4))\n<end_of_step>"]
    executor.run(steps[:1])
    pids = executor.report()["pids"]["snapshots"]
    assert pids and all(len(os.listdir(f"/proc/{pid}/fd")) == 4 for pid in pids)
    assert executor.run(steps).status is Status.OK


def test_a_program_with_a_thread_is_replayed(executor: Executor) -> None:
    steps = [
        "<code>\nimport threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n<end_of_step>",
        "\nprint(threading.active_count())\n<end_of_step>",
    ]
    assert executor.run(steps[:1]).text == ""
    assert executor.run(steps).text == "2"


def test_an_alarm_of_an_earlier_step_fires(executor: Executor) -> None:
    steps = [
        "<code>\nimport signal\ndef stop(*_): raise TimeoutError('too long')\n"
        "signal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "print('set')\n<end_of_step>",
        "\nwhile True: pass\n<end_of_step>",
    ]
    assert executor.run(steps[:1]).text == "set"
    assert executor.run(steps).text == "set\nTimeoutError: too long"
    # An alarm that was taken back is no reason to run the step again.
    before = executor.report()["num_snapshots"]
    executor.run(["<code>\nimport signal\nsignal.alarm(1)\nsignal.alarm(0)\n<end_of_step>"])
    assert executor.report()["num_snapshots"] == before + 1


def test_a_session_runs_step_by_step(executor: Executor) -> None:
    with executor.session() as session:
        assert session.run("<code>\nx = 20\n<end_of_step>").text == ""
        assert (
            session.run("\nx = 1 / 0\n<end_of_step>").text == "ZeroDivisionError: division by zero"
        )
        assert session.run("\nprint(x + 1)\n<end_of_step>").text == "21"
        assert session.steps == ("<code>\nx = 20\n<end_of_step>", "\nprint(x + 1)\n<end_of_step>")


def test_snapshots_stay_within_their_bytes() -> None:
    with Executor(workers=1, preload=("math",), snapshot_bytes=6 << 20) as executor:
        programs = [
            [f"<code>\nx{i} = {i}\n<end_of_step>", f"\nprint(x{i})\n<end_of_step>"]
            for i in range(30)
        ]
        assert [one.text for one in executor.run_many(programs)] == [str(i) for i in range(30)]
        assert [one.text for one in executor.run_many(reversed(programs))] == [
            str(i) for i in reversed(range(30))
        ]
        report = executor.report()
        assert 0 < report["num_snapshots"] < 30 and report["snapshot_bytes"] <= 6 << 20


LONG = "\nimport time\ntime.sleep(0.3)\n"


@pytest.mark.parametrize("victims", ["snapshots", "zygotes", "supervisor"])
def test_killed_processes_lose_nothing(victims: str) -> None:
    with Executor(workers=2, preload=("math",)) as executor:
        beginning = "<code>\nx = 5\n<end_of_step>"
        executor.run([beginning])
        futures: list[Future[Observation]] = [
            executor.submit(
                [beginning, f"{LONG if i % 8 == 0 else ''}\nprint(x + {i})\n<end_of_code>"]
            )
            for i in range(32)
        ]
        for pid in executor.report()["pids"][victims]:
            os.kill(pid, signal.SIGKILL)
        assert [future.result(60).text for future in futures] == [str(5 + i) for i in range(32)]
        assert executor.run(["print(1)"]).text == "1"


def test_the_state_can_be_asked_for_while_a_zygote_starts(executor: Executor) -> None:
    before = executor.report()
    for pid in before["pids"]["zygotes"]:
        os.kill(pid, signal.SIGKILL)
    # Some of these calls come while there is no zygote.
    for _ in range(20):
        after = executor.report()
        assert (after["isolation"], after["pids"]["supervisor"]) == (
            before["isolation"],
            before["pids"]["supervisor"],
        )
    assert executor.run(["print(1)"]).text == "1"


def test_a_program_killed_from_outside_is_a_crash(executor: Executor) -> None:
    future = executor.submit(["while True: pass"])
    while not (pids := executor.report()["pids"]["programs"]):
        pass
    os.kill(pids[0], signal.SIGKILL)
    assert future.result(30).text == "CrashError: signal SIGKILL"


def test_supervisors_that_keep_dying_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Executor(workers=1, preload=("math",), limits=Limits(wall_s=60)) as executor:
        future = executor.submit(["while True: pass"])
        killed: set[int] = set()
        while not future.done():
            for pid in set(executor._pool.pids()) - killed:
                if executor.report()["pids"]["programs"]:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        assert len(killed) == 2
        assert future.result().status is Status.LOST
        assert executor.run(["print(1)"]).text == "1"


def test_only_allowed_modules_can_be_imported() -> None:
    with Executor(
        workers=1, preload=("math", "statistics"), allowed_modules=("math", "statistics")
    ) as executor:
        assert (
            executor.run(["import math, statistics\nprint(math.pi, statistics.mean([1, 2]))"]).text
            == "3.141592653589793 1.5"
        )
        assert (
            executor.run(["import os"]).text == "ImportError: the module 'os' is not allowed here"
        )
        assert (
            executor.run(["from collections import abc"]).text
            == "ImportError: the module 'collections' is not allowed here"
        )


def test_isolation_that_is_required_and_missing_refuses_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Executor(workers=1, preload=("math",)) as executor:
        means = executor.isolation().means
    assert {
        "seccomp",
        "landlock",
        "private file system",
        "resource limits",
        "dropped privileges",
        "process namespace",
    } <= set(means)
    full = dict.fromkeys(means, "")
    assert Isolation(full).missing == []
    assert Isolation(full | {"landlock": "no"}).missing == []
    assert Isolation(full | {"landlock": "no", "private file system": "no"}).missing == [
        "landlock (no) or private file system (no)"
    ]
    assert Isolation(full | {"seccomp": "blocked"}).missing == ["seccomp (blocked)"]
    assert Isolation({}).missing[0] == "resource limits (not tried)"
    if Isolation(means).missing:
        with pytest.raises(IsolationError, match="missing"):
            Executor(workers=1, preload=("math",), require_isolation=True)
    else:
        Executor(workers=1, preload=("math",), require_isolation=True).close()
    monkeypatch.setattr(executor_module.Isolation, "missing", ["seccomp (blocked)"])
    with pytest.raises(IsolationError, match=r"seccomp \(blocked\)"):
        Executor(workers=1, preload=("math",), require_isolation=True)


def test_without_the_extension_python_does_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rstar_fast._clone", None)
    with (
        pytest.warns(RuntimeWarning, match="cloned by Python"),
        Executor(workers=1, preload=("math",)) as executor,
    ):
        assert executor.run(["print(3)"]).text == "3"
        assert executor.report()["native"] is False
    with pytest.raises(ExecutorError, match="native=True"):
        Executor(native=True)


def test_a_fence_in_the_middle_is_code() -> None:
    steps = ("<code>\n```python\nx = 1\n```\n<end_of_step>", "\nprint(x)\n<end_of_code>")
    assert source_of(steps[:1]) == "\n\nx = 1\n"
    assert "```" in source_of(steps)
