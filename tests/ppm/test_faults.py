"""A search whose PPM cannot score something.

The problem ends with a clear reason. The others end as if it had never been there.
"""

from pathlib import Path

import pytest
import torch
from ppm_cases import make_policy
from scripted_engines import Policy, problems, searcher

from rstar_fast.failure import Failure
from rstar_fast.policy import Candidate, ExpandRequest
from rstar_fast.ppm import PPM, PackedScorer
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_policy(tmp_path_factory.mktemp("qwen"))


class Writer(Policy):
    """Writes steps that are hard to score for some of the problems."""

    def _write(self, request: ExpandRequest, sample: int) -> Candidate:
        one = super()._write(request, sample)
        odd = {"long": "x" * 400, "outside": "<new19>", "nan": "~", "empty": "", "blank": "\n"}.get(
            request.problem_id
        )
        return (
            one if odd is None or len(request.path) < 2 or sample else Candidate(odd, (1,), (-0.5,))
        )


def faulty_ppm(folder: Path) -> PPM:
    """Return a PPM that gives NaN for one token and has no embeddings for some others."""
    ppm = PPM.from_policy(folder, device="cpu")
    ppm.tokenizer.add_tokens([f"<new{i}>" for i in range(20)])
    with torch.no_grad():
        ppm.model.get_input_embeddings().weight[ppm.tokenizer("~").input_ids[0]] = float("nan")
    return ppm


def search(ppm: PPM, work: list[Problem]) -> dict[str, Tree | Failure]:
    with searcher(Writer(), PackedScorer(ppm)) as one:
        return {ended.problem.id: ended for ended in one.search(work)}


def test_the_search_goes_on(folder: Path) -> None:
    ppm, good = faulty_ppm(folder), problems(6)
    odd = [
        Problem(name, f"a question, {name}", ("3",))
        for name in ("long", "outside", "nan", "empty", "blank")
    ]
    long_question = Problem("long question", "why?" * 100, ("3",))
    ended = search(ppm, [*good[:3], *odd, long_question, *good[3:]])
    reasons = {name: one.reason for name, one in ended.items() if isinstance(one, Failure)}
    assert reasons.keys() == {"long", "outside", "nan", "long question"}
    assert "the solution has " in reasons["long"] and reasons["long"].endswith(
        " tokens; the PPM takes at most 400"
    )
    assert reasons["outside"].endswith(
        "the tokenizer gave token id 283 ('<new19>'); the model has embeddings for ids below 270"
    )
    assert reasons["nan"].endswith("the PPM's score is nan")
    assert reasons["long question"].endswith(" tokens; the PPM takes at most 400")

    for name, text in (("empty", ""), ("blank", "\n")):
        stuck = [node for node in nodes_of(ended[name]) if node.id and node.step == text]
        assert stuck and all(node.end == "stuck" and node.q == -1 for node in stuck)

    alone = search(PPM.from_policy(folder, device="cpu"), good)
    for name, tree in alone.items():
        for one, other in zip(nodes_of(tree), nodes_of(ended[name]), strict=True):
            assert (one.parent, one.step, one.visits) == (other.parent, other.step, other.visits)
            assert other.q == pytest.approx(one.q, abs=1e-4)


def nodes_of(ended: Tree | Failure) -> list[Node]:
    assert isinstance(ended, Tree), ended
    return ended.nodes
