"""Steps of policies that think first, and whole searches with chat models."""

from dataclasses import replace
from typing import Any

import pytest
from ask_tell import Engine, drive, plain, problems
from chat_shapes import SHAPES, chat_tokenizer
from tiny_models import answers, tiny_model

from rstar_fast.config import SearchConfig
from rstar_fast.data import all_pair_groups, flat_pair_rows, sft_rows, trajectory_rows
from rstar_fast.marks.thinking import with_closed_thinking, without_thinking
from rstar_fast.policy import ExpandRequest, Expansion, TransformersPolicy
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.search import Search
from rstar_fast.tree import Tree

OPTIONS = {
    "candidates": 4,
    "rollouts": 6,
    "max_depth": 5,
    "max_active": 8,
    "prompt": "chat",
    "annotate_terminals_with_ground_truth": True,
}


@pytest.mark.parametrize("before", ["", "\n", " \n"])
@pytest.mark.parametrize("part", ["<think>a</think>", "[THINK]a <think> b[/THINK]\n"])
def test_thinking_parts(before: str, part: str) -> None:
    step = "    print('<think>a</think>')\n"
    assert without_thinking(f"{before}{part}\n\n{step}") == before + step
    assert without_thinking(f"{before}{part} <think>\n</think>{part}\n{step}") == before + step
    assert without_thinking(f"{before}{part}<think>{step}"[:-25]) == before
    assert without_thinking(before + step + part) == before + step + part
    assert with_closed_thinking(f"{part}{step}") == f"{part}{step}"


def test_the_end_of_a_prompt_closes_what_it_opened() -> None:
    closed = "<bos><think>\n\n</think>\n\n"
    assert with_closed_thinking("<bos><think>") == with_closed_thinking("<bos><think>\n") == closed
    assert with_closed_thinking(closed) == closed
    assert with_closed_thinking("[THINK]") == "[THINK]\n\n[/THINK]\n\n"


class Thinker(Engine):
    """Writes what `Engine` does, behind a thought that is five tokens long."""

    def expand(self, request: ExpandRequest) -> Expansion:
        assert not any("think" in segment.text for segment in request.path)
        assert not any(segment.token_ids for segment in request.path)
        done = super().expand(request)
        thought = "\n<think>The step is <end_of_step>.\n<code>'</think>\n"
        return Expansion(
            request.id,
            tuple(
                replace(
                    one,
                    text=thought + one.text,
                    token_ids=(7, 7, 7, 7, 7, *one.token_ids),
                    logprobs=(-1.0,) * 8,
                )
                for one in done.candidates
            ),
        )


@pytest.mark.parametrize("options", [{}, {"widening": 1.0}, {"strategy": "best_of_n"}])
def test_thinking_is_paid_for_and_is_no_step(options: dict[str, Any]) -> None:
    config = SearchConfig.from_dict({**OPTIONS, **options})
    found = []
    for engine in (Engine(), Thinker()):
        search = Search(config)
        search.add(problems(12))
        found.append(sorted(drive(search, engine), key=lambda tree: tree.problem.id))
    assert sum(tree.solved for tree in found[0]) > 1
    for bare, thought in zip(*found, strict=True):
        assert isinstance(bare, Tree) and isinstance(thought, Tree)
        assert [replace(node, id_bytes=b"", exact=True, spent=0) for node in bare.nodes] == [
            replace(node, id_bytes=b"", exact=True, spent=0) for node in thought.nodes
        ]
        for node in thought.nodes[1:]:
            assert (len(node.token_ids), node.logprobs, node.exact) == (8, (), False)
        assert thought.counts["generated_tokens"] * 3 == bare.counts["generated_tokens"] * 8
    for rows in (sft_rows, trajectory_rows):
        assert rows(found[0]) == rows(found[1])
    groups = [all_pair_groups(trees) for trees in found]
    assert groups[0] == groups[1] and groups[0]
    (row, *_) = sft_rows(found[1])
    question = next(tree.problem.question for tree in found[1] if tree.problem.id == row["id"])
    assert row["prompt"] == finetuned_prompt(question)
    assert flat_pair_rows(groups[1])[0]["prompt"].startswith("<|user|>:")


def test_a_thought_without_an_end_is_a_dead_end() -> None:
    class Lost(Engine):
        def expand(self, request: ExpandRequest) -> Expansion:
            done = super().expand(request)
            first = replace(done.candidates[0], text="<think>Well, <end_of_step>", finish="length")
            return Expansion(request.id, (first, first, *done.candidates[2:]))

    search = Search(SearchConfig.from_dict(OPTIONS))
    search.add(problems(1))
    (tree,) = drive(search, Lost())
    assert isinstance(tree, Tree)
    stuck = [node for node in tree.nodes if node.end == "stuck"]
    assert stuck and all(node.step == "" and node.draws == 2 for node in stuck)


def test_a_budget_counts_thinking() -> None:
    search = Search(SearchConfig.from_dict({**OPTIONS, "max_tokens": 100, "max_step_tokens": 8}))
    search.add(problems(2))
    for tree in drive(search, Thinker()):
        assert isinstance(tree, Tree) and 50 < tree.counts["generated_tokens"] <= 100


@pytest.mark.parametrize("name", ["qwen3", "gemma2", "phi4-mini"])
def test_a_search_with_a_chat_model(name: str) -> None:
    tokenizer = chat_tokenizer(name)
    model = tiny_model("qwen3", tokenizer, max_position_embeddings=4096)

    class Chat(Engine):
        def __init__(self, max_rows: int) -> None:
            self.policy = TransformersPolicy(model, tokenizer, prompt="chat", max_rows=max_rows)

        def expand(self, request: ExpandRequest) -> Expansion:
            return answers(self.policy, [request])[request.id]

    trees = []
    for max_rows in (1, 16):
        search = Search(
            SearchConfig.from_dict({**OPTIONS, "rollouts": 2, "max_step_tokens": 6, "max_depth": 3})
        )
        hostile = replace(problems(1)[0], question=" ".join(SHAPES[name].specials) + "</think>")
        search.add([hostile])
        trees.append(plain(drive(search, Chat(max_rows))))
    assert [node.step for node in trees[0]["p0"]] == [node.step for node in trees[1]["p0"]]
    assert len(trees[0]["p0"]) > 4


def test_thinking_is_cut_whatever_the_prompt() -> None:
    steps = []
    for engine in (Engine(), Thinker()):
        search = Search(SearchConfig.from_dict({**OPTIONS, "prompt": "finetuned"}))
        search.add(problems(1))
        steps.append([node.step for node in plain(drive(search, engine))["p0"]])
    assert steps[0] == steps[1]
