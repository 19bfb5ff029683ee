"""The thread that draws problems: how it ends."""

import queue
import threading
import time
from collections.abc import Iterator

import pytest
from scripted_engines import problems, searcher

from rstar_fast.problems import Problem
from rstar_fast.search import feeder as feeder_module
from rstar_fast.search.feeder import Feeder
from rstar_fast.search.messages import Message, ProblemDrawn, ProblemsExhausted, ThreadFailed


def drawn(feeder: Feeder, messages: "queue.SimpleQueue[Message]") -> list[Message]:
    feeder.thread.join(60)
    return [messages.get() for _ in range(messages.qsize())]


def test_places_bound_what_is_drawn() -> None:
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    feeder = Feeder(problems(3), 1, messages.put)
    assert isinstance(messages.get(timeout=60), ProblemDrawn)
    assert messages.empty()
    feeder.free_place()
    assert isinstance(messages.get(timeout=60), ProblemDrawn)
    for _ in range(2):
        feeder.free_place()
    kinds = [type(message) for message in drawn(feeder, messages)]
    assert kinds == [ProblemDrawn, ProblemsExhausted]


def test_what_the_iterable_raises_is_sent() -> None:
    def broken() -> Iterator[Problem]:
        yield from problems(1)
        raise OSError("the file is gone")

    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    *_, last = drawn(Feeder(broken(), 9, messages.put), messages)
    assert isinstance(last, ThreadFailed) and str(last.error) == "the file is gone"


def test_closing_waits_for_a_problem_that_is_being_drawn() -> None:
    drawing = threading.Event()

    def slow() -> Iterator[Problem]:
        yield from problems(1)
        drawing.set()
        time.sleep(0.3)
        yield from problems(1, first=1)

    one = searcher()
    search = one.search(slow())
    next(search)
    assert drawing.wait(60)
    one.close()
    names = [thread.name for thread in threading.enumerate()]
    assert "problems of a search" not in names


def test_closing_leaves_an_iterable_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder_module, "_DRAW_LIMIT_S", 0.05)
    go_on = threading.Event()

    def blocked() -> Iterator[Problem]:
        yield from problems(1)
        go_on.wait(120)

    one = searcher()
    search = one.search(blocked())
    next(search)
    one.close()
    (left,) = (thread for thread in threading.enumerate() if thread.name == "problems of a search")
    go_on.set()
    left.join(60)
    assert not left.is_alive()
