"""The generated problems: wordings, splits, solutions, files, tokens, and what the base learns."""

import random
from collections import Counter
from pathlib import Path

import pytest

from recipes.embedded.made_up import mixed_problem, spoilt_steps
from recipes.embedded.write import write_problems
from rstar_fast.embedded.phrasings import ASK, NUM_TIERS, OPERATIONS, words_of
from rstar_fast.embedded.problems import (
    LEVELS,
    MAX_AMOUNT,
    GradedProblem,
    Split,
    graded_problem,
    graded_problems,
)
from rstar_fast.problems import load_problems
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import END_OF_CODE, MARKS, closes_code, ends_answer, final_answer
from rstar_fast.verify.execute.source import source_of

SPLITS: tuple[Split, ...] = ("train", "held_out", "reworded")
PROBLEMS = {split: graded_problems(split, 60, seed=4) for split in SPLITS}
ALL = [problem for problems in PROBLEMS.values() for problem in problems]
TIERS = {
    wording: tier for operation in OPERATIONS for tier, wording in enumerate(operation.wordings)
}
UNSEEN = {operation.unseen for operation in OPERATIONS}


def test_every_operation_has_its_own_wordings() -> None:
    assert len(OPERATIONS) == 15
    assert all(len(operation.wordings) == NUM_TIERS for operation in OPERATIONS)
    assert len(TIERS) == 15 * NUM_TIERS and len(UNSEEN) == 15 and not UNSEEN & set(TIERS)
    for operation in OPERATIONS:
        for wording in (*operation.wordings, operation.unseen):
            slots = "ab"[: len(operation.ranges)]
            assert [wording.count(f"{{{slot}}}") for slot in slots] == [1] * len(slots), wording
            assert all(f"{{{slot}}}" not in wording for slot in "ab"[len(slots) :]), wording


def test_a_told_problem_is_the_same_with_the_last_digit_of_its_answer() -> None:
    for index in range(20):
        plain, told = (graded_problem(index, 1, "train", 2, digit) for digit in (False, True))
        assert told.problem.id == f"told:train:2:1:{index}"
        digit = f"{told.person} now has a number that ends in {told.answer[-1]}. {ASK}"
        assert told.question == plain.question.removesuffix(ASK) + digit
        assert (told.answer, told.instance) == (plain.answer, plain.instance)


def test_problem_depends_on_split_level_seed_and_index_alone() -> None:
    assert graded_problem(7, 1, "held_out", 3) == graded_problem(7, 1, "held_out", 3)
    assert graded_problems("train", 3, 5) == graded_problems("train", 8, 5)[:18]
    assert len({problem.question for problem in ALL}) == len(ALL)


def test_levels_are_made_of_their_own_tier_and_those_beneath() -> None:
    for split in ("train", "held_out"):
        for problem in PROBLEMS[split]:
            tiers = Counter(TIERS[event.wording] for event in problem.events)
            assert 3 <= len(problem.events) <= 5
            assert max(tiers) == problem.level
            assert not problem.level or (
                1 <= tiers[problem.level] <= 2 and tiers[problem.level - 1] >= 1
            )
    below = [TIERS[e.wording] - p.level for p in PROBLEMS["train"] for e in p.events if p.level]
    assert below.count(-1) > 2 * len([tier for tier in below if tier < -1])


def test_the_hardest_events_of_reworded_problems_have_wordings_that_no_other_split_has() -> None:
    for problem in PROBLEMS["reworded"]:
        unseen = [event.wording for event in problem.events if event.wording in UNSEEN]
        assert 1 <= len(unseen) <= 2
        assert all(
            TIERS[event.wording] < problem.level
            for event in problem.events
            if event.wording not in UNSEEN
        )
    assert {e.wording for p in PROBLEMS["reworded"] for e in p.events} >= UNSEEN


def test_splits_share_no_instance() -> None:
    homes = {split: {problem.instance for problem in PROBLEMS[split]} for split in SPLITS}
    assert not homes["train"] & (homes["held_out"] | homes["reworded"])
    for problem in ALL:
        assert problem.home == ("train" if problem in PROBLEMS["train"] else "held_out")
    told_of_others = [
        GradedProblem("", p.level, p.start, p.first_day, p.events, "Ida", "Kai", "cups")
        for p in ALL
    ]
    assert [problem.home for problem in told_of_others] == [problem.home for problem in ALL]


def test_solution_is_in_the_grammar_and_python_agrees_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for problem in ALL:
        *steps, answer = problem.steps
        assert len(steps) == len(problem.events)
        exec(source_of([step.split(END_OF_CODE)[0] for step in steps]), {})
        assert capsys.readouterr().out.strip() == problem.answer == final_answer(answer)
        assert 0 < int(problem.answer) <= MAX_AMOUNT
        assert [closes_code(step) for step in steps].index(True) == len(steps) - 1
        assert ends_answer(answer)


def test_amounts_are_positive_integers_all_the_way() -> None:
    for problem in ALL:
        amount = problem.start
        for event in problem.events:
            assert event.possible(amount)
            exact = eval(event.code.replace("//", "/"), {"n": amount})
            amount = event.run(amount)
            assert amount == exact > 0


def test_files_are_read_as_problems_and_name_the_level(tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl"
    write_problems(path, PROBLEMS["reworded"])
    read = load_problems(path)
    assert [(p.id, p.question, p.answers) for p in read] == [
        (p.id, p.question, (p.answer,)) for p in PROBLEMS["reworded"]
    ]
    assert path.read_text().count('"level": 5, "split": "reworded"') == 60
    assert (
        {p.level for p in PROBLEMS["train"]}
        == {0, *(p.level for p in PROBLEMS["reworded"])}
        == set(LEVELS)
    )


def test_every_word_of_every_wording_is_one_token_and_texts_come_back() -> None:
    from recipes.embedded.tokenizer import make_tokenizer

    tokenizer = make_tokenizer()
    for problem in ALL:
        text = finetuned_prompt(problem.question) + "".join(problem.steps)
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    words = words_of(wording for o in OPERATIONS for wording in (*o.wordings, o.unseen))
    assert all(len(tokenizer(f" {word}").input_ids) == 1 for word in words)
    assert all(len(tokenizer(mark).input_ids) == 1 for mark in MARKS)
    # A number has the same tokens wherever it stands.
    for number, count in (("7", 1), ("45", 1), ("345", 2), ("1234", 2)):
        tokens = tokenizer(number).input_ids
        assert len(tokens) == count
        for before in (" ", ", ", "(", " + ", "n = ", "<output>", "make "):
            assert tokenizer(f"{before}{number}").input_ids[-count:] == tokens
    for text in ("  two  spaces\n\n\ttab, é 漢 12345 x<eos>", "Tombola gainsay # Step 10: 7"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_spoilt_solution_has_mistakes() -> None:
    rng = random.Random(0)
    counts = Counter()
    for _ in range(200):
        problem = mixed_problem(rng, 4, nonsense=0.2, made_up=0.4)
        right, wrong = (
            [step.split(END_OF_CODE)[0] for step in s[:-1]]
            for s in (problem.steps, spoilt_steps(rng, problem))
        )
        counts[sum(a != b for a, b in zip(right, wrong, strict=True))] += 1
    assert set(counts) == {1, 2, 3, 4}


def test_made_up_sentences_use_no_plain_word_and_are_no_problem_of_the_splits() -> None:
    rng = random.Random(0)
    plain = {operation.wordings[0] for operation in OPERATIONS}
    events = [
        e for _ in range(100) for e in mixed_problem(rng, 5, nonsense=0.5, made_up=0.5).events
    ]
    key_words = {word for wording in plain for word in wording.split()} - {
        "{A}",
        "{x}",
        "{a}",
        "{b}",
    }
    assert not {e.wording for e in events} & (set(TIERS) | UNSEEN)
    assert {word for e in events for word in e.wording.split()} & key_words <= {
        "a",
        "and",
        "as",
        "for",
        "of",
        "the",
    }
    told = Counter(e.wording for e in events)
    assert max(told.values()) > 1, "made-up wordings come again"
