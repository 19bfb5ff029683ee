"""The style that shows the last step only, with and without snapshots."""

from collections.abc import Iterator

import pytest

from rstar_fast.verify.base import Limits, Status
from rstar_fast.verify.execute.executor import Executor


@pytest.fixture(scope="module", params=[1 << 28, 0], ids=["snapshots", "replay"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    limits = Limits(wall_s=60)
    with Executor(workers=2, style="step", limits=limits, snapshot_bytes=request.param) as running:
        yield running


THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(0.2,)).start()\n"
CASES = {
    "prints": (["print(1)\n", "print(2)\n"], "2"),
    "value": (["print(1)\nx = 5\n", "x + 1\n"], "6"),
    "nothing": (["print(1)\n7\n", "x = 5\n"], ""),
    "empty": (["print(1)\n7\n", "\n"], ""),
    "print before value": (["1\n", "print(2)\n3\n"], "2"),
    "error": (["print(1)\n", "print(2)\n1 / 0\n"], "2\nZeroDivisionError: division by zero"),
    "three": (["print(1)\n", "print(2)\n", "print(3)\n"], "3"),
    "one": (["print(1)\n"], "1"),
    "no snapshot": ([THREAD + "print(1)\n", "print(2)\n"], "2"),
    "continued block": (["print(1)\nif True:\n    print(2)\n", "    print(3)\n"], "2\n3"),
    "long string": (["s = '''a\n'''; print(1)\n", "print(2)\nprint(3)\n"], "2\n3"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_last_step_is_shown(name: str, executor: Executor) -> None:
    steps, text = CASES[name]
    assert executor.run(steps).text == text
    assert [executor.run(steps[: n + 1]) for n in range(len(steps))][-1].text == text


def test_of_a_killed_step_its_own_output_is_shown(executor: Executor) -> None:
    steps = ["print(1)\n", "print(2)\nwhile True: pass\n"]
    observation = executor.submit(steps, wall_s=1.5).result()
    assert observation.status is Status.TIMEOUT
    assert observation.text == "2\nTimeoutError: not finished after 1.5 s"
