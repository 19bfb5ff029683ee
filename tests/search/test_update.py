"""Weights that change between and during searches."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from scripted_engines import Policy, problems, searcher

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.errors import ConfigError, PolicyError
from rstar_fast.failure import Failure
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import Candidate, ExpandRequest, TransformersPolicy
from rstar_fast.policy.base import Expansion
from rstar_fast.policy.loading import load
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem, read_problems
from rstar_fast.search import Searcher
from rstar_fast.search.messages import Message, PolicyUpdated, ThreadFailed
from rstar_fast.search.session import SearchSession
from rstar_fast.training_samples import samples
from rstar_fast.tree import Tree

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class Versioned(Policy):
    """Tells the version. From its step `halt_at` on it waits for another one."""

    def __init__(self, halt_at: int = 0, halted: Callable[[], None] = lambda: None) -> None:
        super().__init__(batch=1)
        self.version, self._steps, self._halt_at, self._halted = 0, 0, halt_at, halted

    def update(self, version: int) -> None:
        self.version = version

    def step(self) -> list[Expansion]:
        self._steps += 1
        if self._steps == self._halt_at:
            threading.Thread(target=self._halted).start()
        if 0 < self._halt_at <= self._steps and self.version == 0:
            time.sleep(0.01)
            return []
        return super().step()

    def _write(self, request: ExpandRequest, sample: int) -> Candidate:
        found = super()._write(request, sample)
        return Candidate(found.text, found.token_ids, found.logprobs, version=self.version)


def versions(tree: Tree) -> set[int]:
    return {node.version for node in tree.nodes[1:]}


@pytest.mark.parametrize("staleness", [None, 1, 0])
def test_trees_go_on_as_far_as_their_steps_are_fresh_enough(staleness: int | None) -> None:
    def halted() -> None:
        driver.update(1, lambda: changed.append(True), staleness=staleness)

    changed: list[bool] = []
    driver = searcher(Versioned(halt_at=9, halted=halted), max_active=3)
    ended = list(driver.search(problems(6)))
    assert changed == [True] and len(ended) == 6
    failures = [one for one in ended if isinstance(one, Failure)]
    mixed = [one for one in ended if isinstance(one, Tree) and versions(one) == {0, 1}]
    if staleness == 0:
        assert failures and not mixed
        assert all("a step is of weights 0, expected 1 or later" in one.reason for one in failures)
    else:
        assert mixed and not failures


def test_trees_under_way_may_end_first() -> None:
    goes_on = threading.Event()

    def lazily() -> Iterator[Problem]:
        yield from problems(3)
        goes_on.wait(60)
        yield from problems(3, first=3)

    driver = searcher(Versioned(), max_active=8)
    found: list[Tree] = []
    for tree in driver.search(lazily()):
        assert isinstance(tree, Tree)
        found.append(tree)
        if not goes_on.is_set():
            driver.update(1, finish=True)
            goes_on.set()
    by_id = {tree.problem.id: versions(tree) for tree in found}
    assert by_id == {f"p{i}": {0} if i < 3 else {1} for i in range(6)}


def test_a_change_that_fails_is_told_and_the_search_goes_on() -> None:
    def fails() -> None:
        raise ValueError("no such weights")

    driver = searcher(Versioned())
    with pytest.raises(ValueError, match="no such weights"):
        driver.update(1, fails)
    trees = driver.search(problems(3))
    next(trees)
    with pytest.raises(ValueError, match="no such weights"):
        driver.update(1, fails)
    assert len(list(trees)) == 2
    driver.update(5)
    assert driver.policy.version == 5  # type: ignore[union-attr]
    # The search has ended, and its end has not been taken yet.
    trees = driver.search(problems(1))
    next(trees)
    driver.update(6, finish=True)
    assert list(trees) == [] and driver.policy.version == 6  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="staleness: expected"):
        driver.update(7, staleness=-1)
    with pytest.raises(ConfigError, match=r"expected one with a method update\(version\)"):
        searcher().update(1)


def test_a_change_is_made_once_where_the_search_breaks_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The failure of an engine and the end of the change reach the search together."""

    def together(session: SearchSession) -> list[Message]:
        messages = wait(session)
        kinds = {type(message) for message in messages}
        if ThreadFailed in kinds and PolicyUpdated not in kinds:
            messages.append(session._inbox.get())
        return messages

    def change() -> None:
        changed.append(True)
        session = driver._session
        assert session is not None
        session._inbox.put(ThreadFailed(PolicyError("lost")))

    changed: list[bool] = []
    wait = SearchSession._wait
    monkeypatch.setattr(SearchSession, "_wait", together)
    driver = searcher(Versioned())
    trees = driver.search(problems(8))
    next(trees)
    driver.update(1, change)
    with pytest.raises(PolicyError, match="lost"):
        list(trees)
    assert changed == [True]


def test_each_token_has_the_log_probability_of_the_weights_that_drew_it() -> None:
    class Halting(TransformersPolicy):
        """Waits for other weights from its step 60 on."""

        steps = 0

        def step(self) -> list[Expansion]:
            self.steps += 1
            if self.steps == 60:
                threading.Thread(target=driver.update, args=(1, change)).start()
            if self.steps >= 60 and self.version == 0:
                time.sleep(0.01)
                return []
            return super().step()

    def change() -> None:
        torch.manual_seed(0)
        for weight in model.parameters():
            weight.data += 0.02 * weight.abs().mean() * torch.randn_like(weight)

    torch.set_num_threads(1)
    tokenizer = load_tokenizer(policy_path())
    model, first = (load(policy_path(), torch.float32, torch.device("cpu")) for _ in range(2))
    config = SearchConfig(
        candidates=2,
        rollouts=6,
        max_depth=8,
        temperature=1.0,
        use_scores=False,
        annotate_terminals_with_ground_truth=True,
    )
    prefix = PrefixTokens(tokenizer, "finetuned")
    with Searcher(Halting(model, tokenizer), config) as driver:
        trees = [
            one for one in driver.search(read_problems("graded:train:1")) if isinstance(one, Tree)
        ]
    assert any(versions(tree) == {0, 1} for tree in trees)
    gap = 0.0
    for tree in trees:
        for one in samples(tree, prefix):
            found = {0: first, 1: model}
            for version, weights in found.items():
                other = scored(weights, one)
                ours = torch.tensor(one.logprobs)
                drawn = torch.tensor(one.versions) == version
                assert torch.allclose(other[drawn], ours[drawn], atol=1e-4)
                rest = torch.tensor(one.versions) == 1 - version
                gap = max(gap, float((other[rest] - ours[rest]).abs().max()) if rest.any() else 0)
    # The two weights are told apart.
    assert gap > 1e-2


@torch.no_grad()
def scored(model: Any, one: Any) -> torch.Tensor:
    """Log-probability of each token of a completion."""
    ids = torch.tensor([one.prompt_ids + one.completion_ids])
    logits = model(ids).logits[0, len(one.prompt_ids) - 1 : -1]
    return logits.log_softmax(-1).gather(1, ids[0, len(one.prompt_ids) :, None])[:, 0]
