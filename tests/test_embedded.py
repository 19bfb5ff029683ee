"""The embedded models and the generated problems they come from."""

from pathlib import Path

import pytest

from rstar_fast import embedded
from rstar_fast.config import SearchConfig
from rstar_fast.embedded.careless import careless
from rstar_fast.embedded.problems import LEVELS, WordProblem, run_steps, split_of, word_problem
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.search.engines import EMBEDDED, open_searcher
from rstar_fast.steps import END_OF_CODE, MARKS, closes_code, ends_answer, final_answer
from rstar_fast.tree import Tree

PROBLEMS = [word_problem(i, seed, split) for seed in range(3) for split in ("train", "held_out") for i in range(100)]
SIZE_LIMIT_BYTES = 8 * 2**20


def test_problem_depends_on_split_seed_and_index_alone() -> None:
    assert word_problem(7, 1, "held_out") == word_problem(7, 1, "held_out")
    assert len({p.question for p in PROBLEMS}) == len(PROBLEMS)
    assert embedded.held_out_problems(5, 3) == embedded.held_out_problems(9, 3)[:5]


def test_splits_share_no_question() -> None:
    for problem in PROBLEMS:
        assert split_of(problem.question) == problem.id.split("-")[0]


def test_levels_grow_in_operations() -> None:
    steps = [[len(word_problem(i, 0, "train", (level,)).moves) for i in range(50)] for level in LEVELS]
    assert set(steps[0]) == {3}
    assert set(steps[4]) == {6}
    assert [max(s) for s in steps] == sorted(max(s) for s in steps)


def test_reference_solution_is_in_the_grammar_and_python_agrees_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    for problem in PROBLEMS:
        code = [step.split(END_OF_CODE)[0] for step in problem.steps[:-1]]
        lines = [line for line in "".join(code).split("\n") if not line.startswith("<")]
        exec("\n".join(lines), {})
        assert capsys.readouterr().out.strip() == problem.answer
        assert run_steps(problem.steps)[1] == problem.answer
        assert int(problem.answer) > 0
        assert [closes_code(step) for step in problem.steps].index(True) == len(problem.steps) - 2
        assert ends_answer(problem.steps[-1])
        assert final_answer(problem.steps[-1]) == problem.answer


def test_only_arithmetic_runs() -> None:
    assert run_steps(("x = 2 + 3 * 4\nprint(x)\n",)) == ({"x": 14}, "14")
    for line in ("import os", "x = 9**9**9", "x = 1 // 0", "x = y", "print(open('f'))", "__import__('os')"):
        assert run_steps((line,))[1] is None


def first_mistake(problem: WordProblem, steps: tuple[str, ...]) -> int | None:
    pairs = enumerate(zip(steps, problem.steps, strict=True))
    return next((i for i, (written, right) in pairs if written != right), None)


def test_careless_solutions_swap_signs_and_nothing_else() -> None:
    wrong = 0
    for number, problem in enumerate(PROBLEMS):
        steps = careless(problem, number)
        assert steps == careless(problem, number)
        first = first_mistake(problem, steps)
        if first is not None:
            wrong += 1
            assert steps[first].translate(str.maketrans("+-", "-+")) == problem.steps[first]
            assert run_steps(steps[: first + 1]) != run_steps(problem.steps[: first + 1])
    assert 0.2 < wrong / len(PROBLEMS) < 0.8


def test_folders_are_small() -> None:
    files = [f for folder in (embedded.policy_path(), embedded.ppm_path()) for f in Path(folder).rglob("*")]
    assert sum(f.stat().st_size for f in files) <= SIZE_LIMIT_BYTES


def test_tokenizer_gives_back_the_text() -> None:
    from transformers import AutoTokenizer

    for folder in (embedded.policy_path(), embedded.ppm_path()):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts = [finetuned_prompt(p.question) + p.solution for p in PROBLEMS]
        for text in [*texts, "  two  spaces\n\n\ttab, é 漢 12345 x<eos>", "\r\n# Step 10: 7"]:
            assert tokenizer.decode(tokenizer(text).input_ids) == text
        assert all(len(tokenizer(mark).input_ids) == 1 for mark in MARKS)
        assert len(tokenizer("12345").input_ids) == 5


def test_policy_solves_held_out_problems_and_ppm_tells_right_from_careless() -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config = SearchConfig.preset("greedy", max_depth=10, max_step_tokens=96)
    with open_searcher(config, EMBEDDED) as searcher:
        ended = list(searcher.search(embedded.held_out_problems(50, 11)))
    solved = sum(isinstance(tree, Tree) and tree.solved for tree in ended)
    assert 10 <= solved <= 45

    tokenizer = AutoTokenizer.from_pretrained(embedded.policy_path())
    problems = [word_problem(i, 11, "held_out") for i in range(50)]
    ppm = AutoModelForSequenceClassification.from_pretrained(embedded.ppm_path(), dtype=torch.float32).eval()
    ordered = seen = 0
    for number, problem in enumerate(problems):
        steps = careless(problem, number)
        first = first_mistake(problem, steps)
        if first is None:
            continue
        prompt = finetuned_prompt(problem.question)
        rows = tokenizer(
            [prompt + "".join(steps[: first + 1]), prompt + "".join(problem.steps[: first + 1])], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            wrong, right = ppm(**rows).logits.flatten().tolist()
        seen += 1
        ordered += right > wrong
    assert seen >= 10 and ordered >= 0.9 * seen
