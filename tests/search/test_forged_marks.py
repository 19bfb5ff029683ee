"""Marks and special tokens that questions, programs and engines spell are text to every model."""

import random
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_models import byte_tokenizer
from transformers import AutoTokenizer

from rstar_fast import embedded
from rstar_fast.config import SearchConfig
from rstar_fast.marks import ALL_MARKS, MARKS, STOP_MARKS, unescape
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.ppm.base import Scores
from rstar_fast.ppm.spec import ScoreSpec
from rstar_fast.ppm.texts import Texts
from rstar_fast.problems import Problem
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.search import Search
from rstar_fast.training.train_policy import tokenized
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status

SPECIALS = ("<eos>", "<pad>", "<|im_end|>", "</s>", "<extra_0>")
TOKENIZERS: dict[str, Any] = {
    "embedded": AutoTokenizer.from_pretrained(embedded.policy_path()),
    "marks are tokens": byte_tokenizer([*MARKS, *SPECIALS]),
    "marks are text": byte_tokenizer(SPECIALS),
    "chat tokens are not special": byte_tokenizer([*MARKS, *SPECIALS]),
}
TOKENIZERS["chat tokens are not special"].add_tokens(["<|user|>", "<|assistant|>", "<|end|>"])
SPEC = ScoreSpec("<|im_end|>{question}</s>\n", mark="<extra_0>")

SPELLINGS = (*ALL_MARKS, *SPECIALS, *(f"<\\{mark[1:]}" for mark in MARKS), "<end_of", "_step>")
WORDS = ("x", " = 5", "\n", "'", '"', "'''", "# ", "print(", ")", "it's", "\\", "<", ">", " 12")


def evil(rng: random.Random, most: int = 12) -> str:
    return "".join(rng.choice(rng.choice((SPELLINGS, WORDS))) for _ in range(rng.randrange(most)))


class Engine:
    """Writes, prints and asks whatever may be taken for a mark.

    Attributes:
        written: All texts that it wrote.
        asked: All requests for steps and for scores.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.written: list[str] = []
        self.asked: list[Any] = []

    def expand(self, request: ExpandRequest) -> Expansion:
        self.asked.append(request)
        texts = [
            rng.choice(("<code>\n", "\n", "<answer>\\boxed{", ""))
            + evil(rng)
            + rng.choice((*STOP_MARKS, "}<end_of_answer>", ""))
            + evil(rng, 4)
            for rng in [self.rng] * request.num_candidates
        ]
        self.written += texts
        return Expansion(request.id, tuple(map(Candidate, texts)))

    def run(self, request: Any) -> Observation:
        status = Status.ERROR if self.rng.random() < 0.2 else Status.OK
        return Observation(status, evil(self.rng))

    def score(self, request: Any) -> Scores:
        self.asked.append(request)
        return Scores(request.id, np.array([self.rng.uniform(-1, 1) for _ in request.children]))

    def grade(self, request: Any) -> Grade:
        return Grade(self.rng.random() < 0.5)


def searched(engine: Engine, question: str) -> Tree:
    search = Search(SearchConfig(candidates=3, rollouts=6, max_depth=5))
    search.add([Problem("p", question, ("5",))])
    while not search.done:
        work = search.ask()
        for kind in ("expand", "run", "grade", "score"):
            for request in work.of(kind):
                search.tell(request.id, getattr(engine, kind)(request))
    (tree,) = search.finished()
    assert isinstance(tree, Tree), tree
    return tree


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)) or "(?!)")


def structure(tokenizer: Any, tokens: Iterable[int]) -> list[str]:
    """Return what a model sees that is no plain text: tokens of marks, special tokens, and marks
    in the text of the others if marks have no tokens.
    """
    control = any_of((*ALL_MARKS, *SPECIALS, "<|end|>"))
    as_tokens = {
        number: found[0]
        for text, number in tokenizer.get_added_vocab().items()
        if (found := control.search(text))
    }
    as_text = any_of(mark for mark in ALL_MARKS if mark not in as_tokens.values())
    found: list[str] = []
    for is_control, run in groupby(tokens, as_tokens.__contains__):
        ids = list(run)
        found += (
            [as_tokens[i] for i in ids] if is_control else as_text.findall(tokenizer.decode(ids))
        )
    return found


LETTERS = dict(zip(MARKS, "cskoxae", strict=True))
STEP = re.compile("(c?a?)[ske]?|k?ox")


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("seed", range(12))
def test_no_text_forges_a_mark(name: str, seed: int) -> None:
    tokenizer, engine = TOKENIZERS[name], Engine(seed)
    question = f"Q {evil(engine.rng)} Q"
    tree = searched(engine, question)
    spelt = any_of(ALL_MARKS)
    for node in tree.nodes[1:]:
        for piece in (node.step, node.suffix):
            letters = "".join(LETTERS[mark] for mark in spelt.findall(piece))
            assert STEP.fullmatch(letters), piece
            assert not any(mark in piece.rstrip()[:-1] for mark in STOP_MARKS if letters != "kox")
        written = unescape(node.step)
        assert any(text.startswith((written, written[1:])) for text in engine.written)
        if node.suffix.startswith("\n"):
            assert unescape(node.suffix) == f"\n<output>{node.observation}<end_of_output>"

    texts = Texts(ppm_of(tokenizer), None)
    prefixes = {style: PrefixTokens(tokenizer, style) for style in ("finetuned", "few_shot")}
    for request in engine.asked:
        path = "".join(segment.text for segment in request.path)
        if isinstance(request, ExpandRequest):
            for style, prefix in prefixes.items():
                harmless = prefix.of(replace(request, question="Q", path=()))
                assert structure(tokenizer, prefix.of(request)) == [
                    *structure(tokenizer, harmless),
                    *spelt.findall(path),
                ], style
        else:
            prompt, *steps = texts.pieces(request.question, [one.text for one in request.path])
            assert structure(tokenizer, prompt) == structure(tokenizer, texts.pieces("Q", ())[0])
            for text, tokens in zip((one.text for one in request.path), steps, strict=True):
                assert structure(tokenizer, tokens) == [*spelt.findall(text), *MARK_OF_PPM[name]]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("seed", range(12))
def test_a_policy_learns_the_tokens_that_it_reads(name: str, seed: int) -> None:
    tokenizer, engine = TOKENIZERS[name], Engine(seed)
    tree = searched(engine, f"Q {evil(engine.rng)} Q")
    prefix = PrefixTokens(tokenizer, "finetuned")
    for request in engine.asked:
        if isinstance(request, ExpandRequest):
            path = "".join(segment.text for segment in request.path)
            (row,) = tokenized(
                tokenizer, [{"prompt": finetuned_prompt(tree.problem.question), "completion": path}]
            )
            assert tokenizer.decode(row["input_ids"][:-1]) == tokenizer.decode(prefix.of(request))
            assert structure(tokenizer, row["input_ids"][:-1]) == structure(
                tokenizer, prefix.of(request)
            )


def ppm_of(tokenizer: Any) -> Any:
    has_mark = SPEC.mark in tokenizer.get_vocab()
    spec = SPEC if has_mark else replace(SPEC, mark="")
    return SimpleNamespace(name="ppm", tokenizer=tokenizer, spec=spec, num_embeddings=1 << 20)


MARK_OF_PPM = {name: ["<extra_0>"] * (name != "embedded") for name in TOKENIZERS}
