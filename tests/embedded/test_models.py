"""The embedded models: where they come from, what they read, and that they run."""

import hashlib
from pathlib import Path

import pytest
from evolve_options import RECIPE

from recipes.embedded.adopt import options_digest
from rstar_fast import embedded
from rstar_fast.config import SearchConfig
from rstar_fast.embedded.domains import DOMAINS
from rstar_fast.embedded.problems import graded_problem, graded_problems
from rstar_fast.errors import ConfigError
from rstar_fast.evolve import read_options
from rstar_fast.problems import Problem
from rstar_fast.problems.sources import kind_of
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.naming import EMBEDDED
from rstar_fast.steps import MARKS
from rstar_fast.tree import Tree

FOLDERS = {
    "base": embedded.base_path(),
    "policy": embedded.policy_path(),
    "ppm": embedded.ppm_path(),
}
SIZE_LIMIT_BYTES = 16 * 2**20


def solved(problems: list[Problem], policy: str | Path) -> int:
    config = SearchConfig.preset("greedy", max_depth=8, max_step_tokens=40)
    with open_searcher(config, policy, dtype="float32", workers=1) as searcher:
        return sum(isinstance(tree, Tree) and tree.solved for tree in searcher.search(problems))


def of_level(level: int, count: int = 30) -> list[Problem]:
    return [graded_problem(i, 9, "held_out", level).problem for i in range(count)]


def test_held_out_problems_are_of_the_levels_of_the_models_by_turns() -> None:
    problems = embedded.held_out_problems(20, 3)
    assert problems == embedded.held_out_problems(30, 3)[:20]
    assert [p.question for p in problems] == [
        p.question for p in graded_problems("held_out", 7, 3, (0, 1, 2))
    ][:20]
    assert all(f"-L{i % 3}-" in problem.id for i, problem in enumerate(problems))
    puzzles = embedded.held_out_problems(4, domain="countdown")
    assert [one.id.split(":")[2] for one in puzzles] == ["3", "4", "3", "4"]
    assert {p.question for p in problems}.isdisjoint(
        p.question for p in embedded.held_out_problems(20, 4)
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_held_out_problems_are_of_a_domain(domain: str) -> None:
    problems = embedded.held_out_problems(10, 3, domain)
    assert len(problems) == 10
    assert problems == embedded.held_out_problems(20, 3, domain)[:10]
    assert {kind_of(one.id) for one in problems} == {"" if domain == "graded" else domain}


def test_held_out_problems_of_no_domain_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"domain: expected one of .*countdown.*, got 'chess'"):
        embedded.held_out_problems(1, domain="chess")


def test_the_files_are_those_that_were_adopted() -> None:
    weights = {
        name: hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        for name, folder in FOLDERS.items()
    }
    told = embedded.origin()
    assert told["weights_sha256"] == weights
    assert told["round"] == len(told["held_out"]) - 1 >= 1
    assert told["seed"] >= 0


def test_the_models_were_made_by_the_configuration_in_the_package() -> None:
    assert embedded.origin()["config_sha256"] == options_digest(read_options(RECIPE))


def test_folders_are_small() -> None:
    files = [file for folder in FOLDERS.values() for file in folder.rglob("*")]
    assert len(files) > 9 and sum(file.stat().st_size for file in files) <= SIZE_LIMIT_BYTES


def test_all_models_read_the_same_tokens_and_give_back_the_text() -> None:
    from transformers import AutoTokenizer

    texts = [
        finetuned_prompt(one.question) + "".join(one.steps)
        for domain in DOMAINS.values()
        for split, levels in domain.levels.items()
        for level in levels
        for one in (domain.make(0, 0, split, level), domain.make(1, 0, split, level))
    ]
    texts += ["  two  spaces\n\n\ttab, é 漢 12345 x<eos>", "\r\n# Step 10: 7"]
    base, *others = (AutoTokenizer.from_pretrained(folder) for folder in FOLDERS.values())
    for text in texts:
        assert base.decode(base(text).input_ids) == text
        assert all(other(text).input_ids == base(text).input_ids for other in others)
    assert all(len(base(mark).input_ids) == 1 for mark in MARKS)


@pytest.mark.parametrize("policy", [FOLDERS["base"], EMBEDDED])
def test_policies_solve_plain_problems(policy: str | Path) -> None:
    assert solved(of_level(0), policy) >= 20


def test_the_base_solves_few_hard_problems() -> None:
    assert solved(of_level(4), FOLDERS["base"]) <= 10


def test_the_ppm_scores_what_the_policy_writes() -> None:
    config = SearchConfig(candidates=4, rollouts=2, max_depth=8, max_step_tokens=40)
    with open_searcher(config, EMBEDDED, EMBEDDED, workers=1) as searcher:
        trees = [tree for tree in searcher.search(of_level(1, 4)) if isinstance(tree, Tree)]
    scores = [node.score for tree in trees for node in tree.nodes if node.end == "answer"]
    assert len(trees) == 4 and len(scores) >= 4
    assert all(score is not None and -1 < score < 1 for score in scores) and len(set(scores)) > 1
