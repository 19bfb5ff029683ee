"""What the main process reads of models and programs takes time in proportion to its length."""

import string
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from rstar_fast.evolve.groups import solved_by_group
from rstar_fast.steps import ends_answer, final_answer
from rstar_fast.terminal_text import clean, one_line
from rstar_fast.verify import ArithmeticRunner, Observation, Status
from rstar_fast.verify.execute.framing import unpack_reply
from rstar_fast.verify.execute.observation_text import cut, rounded
from rstar_fast.verify.execute.source import continues, source_of
from rstar_fast.verify.grade.spelling import spelling
from rstar_fast.verify.pool.wire import FrameError, FrameReader


class Others:
    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        done: Future[Observation] = Future()
        done.set_result(Observation(Status.OK, ""))
        return done

    def close(self) -> None:
        pass


def framed(data: bytes) -> None:
    for parse in (unpack_reply, FrameReader().feed):
        try:
            parse(data)
        except FrameError:
            continue


READERS: dict[str, Callable[[str], object]] = {
    "program": lambda text: source_of((text,)),
    "program of steps": lambda text: source_of(("<code>", text, "<end_of_step>", text)),
    "beginning": lambda text: continues(text, text[:-1]),
    "arithmetic": lambda text: ArithmeticRunner(Others()).submit((text,)),
    "final answer": lambda text: final_answer(f"boxed{text}") + final_answer(f"boxed{{{text}"),
    "end of an answer": ends_answer,
    "spelling": spelling,
    "boxed spelling": lambda text: spelling(f"\\boxed{{{text}}}"),
    "observation": lambda text: cut(rounded(text)),
    "group": lambda text: solved_by_group([(text, True)]),
    "view": lambda text: one_line(text, 80) + clean(text),
    "frames": lambda text: framed(text.encode()),
}
REPEATED = [
    *string.punctuation,
    *string.whitespace,
    *"axp019",
    *("\xa0", "\u0660", "boxed{", "<code>", "<end_of_code>", "` ", "`\n", "1,", "1.", "\\text{"),
    *("\\frac", "\\left", "rsr1", "rsf1", "-1", "print("),
]
SIZES = (1 << 14, 1 << 16, 1 << 18, 1 << 20)
"""Numbers of characters. Each is four times the one before, so quadratic time grows 16-fold."""
_NOTHING_S = 0.02
"""Processor time that says nothing about growth, seconds."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("end", ["", "x"], ids=["alone", "before another"])
def test_one_repeated_character_is_read_in_linear_time(reader: str, end: str) -> None:
    read = READERS[reader]
    for repeated in REPEATED:
        before_s = 0.0
        for size in SIZES:
            text = "a" + repeated * (size // len(repeated)) + end
            begin_s = time.thread_time()
            read(text)
            took_s = time.thread_time() - begin_s
            # Checked before the next size, which could take minutes.
            assert took_s < 9 * max(before_s, _NOTHING_S), (repeated, size, before_s, took_s)
            before_s = took_s
