"""Whole searches over scripted servers."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from scripted_server import ScriptedServer, scripted_server

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import ppm_path
from rstar_fast.errors import ConfigError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.remote import retries, servers
from rstar_fast.search import Searcher
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.run import run_config
from rstar_fast.tree import Tree

CONFIG = SearchConfig.preset("fast", rollouts=3, candidates=2, max_active=4)
PROBLEMS = [Problem(f"p{i}", f"What is 3? ({i})", "3") for i in range(10)]


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(servers, "_PROBE_S", 0.1)


def values(tokens: list[int]) -> list[float]:
    return [len(tokens) / 100] * len(tokens)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(stack: ExitStack, ppm: ScriptedServer, *policies: ScriptedServer) -> Searcher:
    addresses = ",".join(server.address for server in policies)
    return stack.enter_context(
        open_searcher(
            CONFIG,
            f"{addresses}#m",
            f"{ppm.address}#m",
            workers=1,
            max_rows=8,
            ppm_folder=ppm_path(),
        )
    )


def solved(ended: "list[Tree | Failure]") -> list[str]:
    assert [one for one in ended if isinstance(one, Failure)] == []
    return sorted(one.problem.id for one in ended if isinstance(one, Tree) and one.solved)


def test_a_replica_that_is_lost_costs_nothing(stack: ExitStack) -> None:
    first, second, ppm = (
        stack.enter_context(scripted_server(score=values, delay_s=0.005)) for _ in range(3)
    )
    search = opened(stack, ppm, first, second).search(PROBLEMS)
    ended = [next(search)]
    second.kill()
    ended += list(search)
    assert solved(ended) == sorted(problem.id for problem in PROBLEMS)
    assert first.asked and second.asked and ppm.asked
    nodes = [node for one in ended if isinstance(one, Tree) for node in one.nodes[1:]]
    assert all(node.score is not None for node in nodes)


def test_everything_that_passes_passes(stack: ExitStack) -> None:
    policy, ppm = (stack.enter_context(scripted_server(score=values)) for _ in range(2))
    searcher = opened(stack, ppm, policy)
    faults = ["429", "500", "cut", "no_json", "503", "abort", "429", "cut"]
    policy.faults, ppm.faults = list(faults), [one for one in faults if one != "abort"]
    assert len(solved(list(searcher.search(PROBLEMS)))) == len(PROBLEMS)
    assert policy.most <= 8


def test_a_refused_request_fails_its_problem_only(stack: ExitStack) -> None:
    policy, ppm = (stack.enter_context(scripted_server(score=values)) for _ in range(2))
    searcher = opened(stack, ppm, policy)
    policy.faults = ["400"]
    ended = list(searcher.search(PROBLEMS))
    (failure,) = (one for one in ended if isinstance(one, Failure))
    assert "HTTP 400: maximum context length is 512" in failure.reason
    assert len(ended) == len(PROBLEMS)


def test_the_same_seed_makes_the_same_trees(stack: ExitStack) -> None:
    policy, ppm = (stack.enter_context(scripted_server(score=values)) for _ in range(2))
    searcher = opened(stack, ppm, policy)
    trees: list[dict[str, Any]] = []
    for _ in range(2):
        ended = [one for one in searcher.search(PROBLEMS) if isinstance(one, Tree)]
        trees.append({one.problem.id: [node.text for node in one.nodes] for one in ended})
        # Another order of arrival.
        policy.delay_s = 0.01
    assert trees[0] == trees[1] and len(trees[0]) == len(PROBLEMS)


def test_options_of_servers_need_servers() -> None:
    with pytest.raises(ConfigError, match="tokenizer: expected the policy of a server"):
        opener = open_searcher(CONFIG, "embedded", "embedded", tokenizer="x")
        opener.__enter__()
    with pytest.raises(ConfigError, match="ppm_folder: expected the PPM of a server"):
        open_searcher(CONFIG, "embedded", "embedded", ppm_folder="x").__enter__()


def test_the_record_of_a_run_has_the_model_and_not_the_address() -> None:
    names: dict[str, Any] = {"ppm": "http://b:2#q", "problems": "p"}
    given = run_config(CONFIG, policy="http://a:1#m", **names, tokenizer="t")
    assert (given["policy"], given["ppm"], given["tokenizer"]) == ("server:m", "server:q", "t")
    assert given == run_config(CONFIG, policy="https://c/v1#m", **names, tokenizer="t")
    assert "tokenizer" not in run_config(CONFIG, policy="m", ppm=None, problems="p")
