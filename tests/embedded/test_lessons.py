"""Lessons of the base: which tokens are learnt, which nodes are judged how, and what is saved."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from recipes.embedded.lessons import (
    LESSONS,
    Lesson,
    Stage,
    TaughtStep,
    guessed_equation,
    guessed_events,
    known_equation,
    known_events,
    puzzle,
)
from recipes.embedded.tokenizer import make_tokenizer
from recipes.embedded.train_base import _IGNORED, CHECK_HEAD, _rows, train_base
from rstar_fast.embedded.countdown import WORDINGS
from rstar_fast.embedded.reach import reachable
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import END_OF_CODE, final_answer
from rstar_fast.verify.grade.expression import read_expression

TOKENIZER = make_tokenizer()
JUDGED, UNJUDGED = Stage(False, True, False), Stage(False, False, False)


def printed(step: str) -> list[str]:
    return step.split("<output>")[1].removesuffix("<end_of_output>").split()


def puzzle_of(question: str) -> tuple[list[int], int]:
    """Return the numbers of a puzzle, and its target."""
    for wording in WORDINGS:
        escaped = re.escape(wording).replace(r"\{target\}", r"(?P<target>\d+)")
        pattern = escaped.replace(r"\{numbers\}", "(?P<numbers>[0-9, ]+)")
        if found := re.fullmatch(pattern, question):
            return list(map(int, found["numbers"].split(", "))), int(found["target"])
    raise AssertionError(question)


def learnt(lesson: Lesson) -> str:
    (row,) = _rows(TOKENIZER, [lesson])
    return str(TOKENIZER.decode([label for label in row.labels if label != _IGNORED]))


@pytest.mark.parametrize("kind", list(LESSONS), ids=lambda kind: kind.__name__)
def test_rows_hold_the_texts_and_judge_the_last_token_of_each(
    kind: Callable[[random.Random, Stage], Lesson],
) -> None:
    rng = random.Random(4)
    lessons = [kind(rng, JUDGED) for _ in range(30)]
    for lesson, row in zip(lessons, _rows(TOKENIZER, lessons), strict=True):
        prompt = finetuned_prompt(lesson.question)
        assert (
            TOKENIZER.decode(row.tokens)
            == prompt + "".join(step.text for step in lesson.steps) + TOKENIZER.eos_token
        )
        at = len(TOKENIZER(prompt).input_ids)
        assert set(row.labels[:at]) == {_IGNORED} and set(row.clean[:at]) == {-1}
        for step in lesson.steps:
            size = len(TOKENIZER(step.text).input_ids)
            judged = step.right is not None
            assert row.ends[at : at + size] == [0] * (size - 1) + [int(judged)]
            assert row.clean[at + size - 1] == (int(bool(step.right)) if judged else -1)
            at += size
        assert at == len(row.tokens) - 1 and row.labels[-1] == TOKENIZER.eos_token_id


def test_nothing_that_a_program_printed_is_learnt() -> None:
    lesson = Lesson(
        "q", [TaughtStep("<code>\nprint(2)\n<end_of_code>\n<output>47<end_of_output>", True)]
    )
    assert learnt(lesson) == "<code>\nprint(2)\n<end_of_code>\n<output><eos>"


def test_tokens_are_learnt_up_to_the_first_mistake() -> None:
    wrong, meant = "\n# Monday\nn = n + 5\n<end_of_step>", "\n# Monday\nn = n - 5\n<end_of_step>"
    lesson = Lesson("q", [TaughtStep(wrong, False, meant)])
    assert learnt(lesson) == "\n# Monday\nn = n<eos>"
    (row,) = _rows(TOKENIZER, [lesson])
    clean = row.clean[-1 - len(TOKENIZER(wrong).input_ids) : -1]
    assert clean == sorted(clean, reverse=True) and {0, 1} == set(clean)
    assert learnt(Lesson("q", [TaughtStep(wrong, False, learnt=False)])) == "<eos>"


def test_puzzles_are_judged_by_their_reach_and_by_what_was_copied() -> None:
    rng, seen = random.Random(1), set()
    for _ in range(120):
        lesson = puzzle(rng, JUDGED)
        numbers, target = puzzle_of(lesson.question)
        *begin, last, answer = lesson.steps
        for step in (*begin, last):
            left = [int(float(number)) for number in printed(step.text)]
            written = sorted(map(int, re.findall(r"\d+", step.text.split(END_OF_CODE)[0])))
            # The last operation prints the target too.
            copied = written == sorted([*numbers, target] if step is last else numbers)
            reached = reachable(left[:1] if step is last else left, target)
            if step.right is not None:
                assert step.right == (copied and reached)
                assert copied or not step.learnt
                seen.add((copied, reached))
        value = read_expression(final_answer(answer.text))
        assert value
        assert answer.right == (sorted(value.numbers) == sorted(numbers) and value.value == target)
    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def test_the_last_nodes_of_events_and_equations_are_judged_by_what_they_show() -> None:
    rng = random.Random(2)
    for kind in (known_events, known_equation, guessed_equation):
        seen = set()
        for _ in range(40):
            *_, shown, answer = kind(rng, JUDGED).steps
            assert shown.right == answer.right is not None
            seen.add(answer.right)
            if kind is not known_events:
                left, right = (
                    shown.text.split("<output>")[1].removesuffix("<end_of_output>").split()
                )
                assert (left == right) == answer.right
        assert seen == {True, False}


def test_mistakes_and_guesses_come_when_they_should() -> None:
    rng = random.Random(3)
    for kind in (known_events, known_equation):
        assert all(step.right for _ in range(10) for step in kind(rng, UNJUDGED).steps)
    assert all(step.right is None for step in guessed_events(rng, JUDGED).steps)
    assert all(END_OF_CODE in step.text for step in puzzle(rng, JUDGED).steps[:-1])


def test_the_base_is_trained_and_saved_as_a_policy_that_loads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tmp_path / "base"
    train_base(base, num_steps=2, seed=0)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base),
        AutoTokenizer.from_pretrained(base),
    )
    assert model.config.vocab_size == len(tokenizer)
    assert sum(parameter.numel() for parameter in model.parameters()) < 2_600_000
    head = load_file(base / CHECK_HEAD)
    assert {name: tuple(value.shape) for name, value in head.items()} == {
        "weight": (1, model.config.hidden_size),
        "bias": (1,),
    }
    # Three such models are in the package.
    assert 3 * sum(file.stat().st_size for file in base.iterdir()) < 16 * 2**20
    train_base(tmp_path / "further", num_steps=1, seed=0, start=base)
    assert (tmp_path / "further" / CHECK_HEAD).is_file()
