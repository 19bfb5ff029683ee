"""A worker whose pieces of work are Python expressions, evaluated in confined clones.

Run as a program, it starts a pool of such workers and checks how hostile pieces end.
"""

import os
import time
from typing import Any

from rstar_fast.verify.base import Grade, Status
from rstar_fast.verify.grade.clones import Preparation, Work, in_clones
from rstar_fast.verify.grade.pooled import PooledVerifier
from rstar_fast.verify.pool.worker import Channel, serve

_seen: list[str] = []


def _load() -> tuple[Preparation, Work]:
    def prepare(request: dict[str, Any]) -> None:
        _seen.append(request["gold"])
        if request["gold"] == "hangs":
            time.sleep(60)
        if request["gold"] == "dies":
            os._exit(1)
        if request["gold"] == "raises":
            raise ValueError

    def work(request: dict[str, Any]) -> dict[str, Any]:
        names = {"seen": _seen, "os": os, "time": time, "clone": _clone}
        return {"correct": bool(eval(request["answer"], names)), "status": Status.OK}

    return prepare, work


def _clone() -> int:
    from rstar_fast.verify.sandbox.kernel import syscall
    from rstar_fast.verify.sandbox.seccomp import CLONE_FLAGS

    return syscall("clone", CLONE_FLAGS, 0, 0, 0, 0)


def _start(options: dict[str, Any], channel: Channel) -> Work:
    if options.get("broken"):
        return in_clones(lambda: [][0], options["limit_s"])
    return in_clones(_load, options["limit_s"])


def main(parent_pid: int) -> None:
    serve(parent_pid, _start)


class Expressions(PooledVerifier):
    """Grades an expression by its truth."""

    def __init__(self, limit_s: float = 2.0, **options: Any) -> None:
        super().__init__("clone_worker", options, 1, limit_s, confined=True)

    def grade(self, answer: str, gold: str = "gold") -> Grade:
        return self._pool.submit({"gold": gold, "answer": answer}).result()


HOSTILE = {
    "1": Grade(True),
    "0": Grade(False),
    "1 / 0": Grade(False, Status.ERROR),
    "os._exit(0)": Grade(False, Status.CRASH),
    "exit()": Grade(False, Status.ERROR),
    "time.sleep(60)": Grade(False, Status.TIMEOUT),
    "[1 for _ in iter(int, 1)]": Grade(False, Status.TIMEOUT),
    "bytearray(1 << 40)": Grade(False, Status.MEMORY),
    "os.write(3, b'no frame' * 9) and time.sleep(60)": Grade(False, Status.PROTOCOL),
    # A clone of the clone that outlives it, and a great many of them.
    "clone() or time.sleep(60)": Grade(True),
    "[clone() for _ in range(4)] and 0": Grade(False),
    # Nothing of the worker or of other clones is within reach.
    "os.listdir('/proc') or 1": Grade(False, Status.ERROR),
    "os.kill(os.getppid(), 9)": Grade(False, Status.ERROR),
    "os.read(4, 1)": Grade(False, Status.ERROR),
    "open('/etc/hostname').read()": Grade(False, Status.ERROR),
    "os.system('true') or 1": Grade(False, Status.ERROR),
    "seen.append('mine') or 1": Grade(True),
    "'mine' in seen": Grade(False),
}


def check_hostile() -> None:
    with Expressions() as verifier:
        assert verifier.grade("1") == Grade(True)
        (pid,) = verifier.worker_pids()
        for answer, expected in HOSTILE.items():
            found = verifier.grade(answer)
            assert found == expected, (answer, found)
            assert len(children(pid)) <= 2, answer
        assert verifier.worker_pids() == [pid]
        assert verifier.grade("len(seen) > 18") == Grade(True)


def children(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return file.read().split()
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    check_hostile()
    print(f"uid {os.getuid()}: all as expected")
