"""Work in confined clones: hostile pieces, and what happens to the zygote."""

import os
import socket
import subprocess
import sys
import threading

import clone_worker
import ordinary_user
import pytest
from clone_worker import Expressions, check_hostile

from rstar_fast.errors import ExecutorError
from rstar_fast.verify import Grade, Status
from rstar_fast.verify.grade import clones
from rstar_fast.verify.pool.wire import encode_frame, first_payload


def test_hostile_pieces_end_alone() -> None:
    check_hostile()


@pytest.mark.slow
def test_an_ordinary_user_is_as_safe() -> None:
    if os.getuid():
        pytest.skip("every other test runs as an ordinary user already")
    done = subprocess.run(
        [sys.executable, ordinary_user.__file__, clone_worker.__file__],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode == ordinary_user.NOT_PERMITTED:
        pytest.skip(done.stdout)
    assert done.stdout == f"uid {ordinary_user.USER}: all as expected\n", done.stderr


def test_a_greeting_that_comes_together_with_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clones, "children", set)
    zygote = clones._Zygote.__new__(clones._Zygote)
    zygote._limit_s, zygote._lasting_pids = 60.0, set()
    zygote._control, theirs = socket.socketpair()
    # Giving up would end this process.
    monkeypatch.setattr(zygote, "_give_up", lambda hangs: pytest.fail("it gave up"))

    def answer() -> None:
        _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
        assert first_payload(fd) == {}
        os.write(fd, encode_frame(0, {}) + b"no frame" * 9)
        os.close(fd)

    thread = threading.Thread(target=answer)
    thread.start()
    assert zygote.work({}) == {"correct": False, "status": Status.PROTOCOL}
    thread.join()
    zygote._control.close()
    theirs.close()


def test_preparing_may_raise_hang_or_die() -> None:
    with Expressions(limit_s=1) as verifier:
        assert verifier.grade("1", "raises") == Grade(True)
        assert verifier.grade("1", "hangs") == Grade(False, Status.TIMEOUT)
        assert verifier.grade("1", "dies") == Grade(False, Status.LOST)
        assert verifier.grade("1") == Grade(True)


def test_what_cannot_be_loaded_says_why() -> None:
    with Expressions(broken=True) as verifier, pytest.raises(ExecutorError, match="IndexError"):
        verifier.grade("1")


def test_secrets_stay_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with Expressions() as verifier:
        assert verifier.grade("'SOME_TOKEN' in os.environ") == Grade(False)
        assert verifier.grade("os.environ['PYTHONHASHSEED'] == '0'") == Grade(True)
