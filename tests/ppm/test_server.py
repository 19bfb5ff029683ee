"""A PPM behind HTTP scores as one in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ppm_cases import request_of
from scripted_server import ScriptedServer, scripted_server

from rstar_fast.embedded import ppm_path
from rstar_fast.errors import ConfigError, ScoreError
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest, ServerScorer
from rstar_fast.remote import retries
from rstar_fast.steps import Segment

WAIT_S = 60
EMBEDDED = PPM.from_pretrained(ppm_path(), device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.01)


def values_of(tokens: list[int]) -> list[float]:
    """Return the value of the embedded PPM's head at every token, as a server gives them."""
    with torch.inference_mode():
        rows = EMBEDDED.model.base_model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        found: list[float] = EMBEDDED.head(rows).tolist()
    return found


@contextmanager
def scorer_of(server: ScriptedServer, folder: str | Path = "", **options: Any) -> Iterator[Any]:
    scorer = ServerScorer(server.address, None, folder or ppm_path(), **options)
    try:
        yield scorer
    finally:
        scorer.close()


def request(*children: str, logprob: float = -2.0) -> ScoreRequest:
    told = np.array([logprob], np.float32).tobytes()
    path = (Segment("<code>\nn = 1\n<end_of_step>"),)
    return ScoreRequest(5, "p", 2, "How many?", path, children, (told,), (told,) * len(children))


CHILDREN = ("# Monday\nn = n + 2\n<end_of_step>", "print(n)\n<end_of_code>", "x")


@pytest.mark.parametrize(
    ("dialect", "routes"),
    [("vllm", ("/pooling",)), ("vllm", ("/classify",)), ("sglang", ("/classify",))],
)
def test_scores_are_those_of_the_packed_scorer(dialect: str, routes: tuple[str, ...]) -> None:
    asked = request(*CHILDREN)
    (expected,) = PackedScorer(EMBEDDED).score([asked])
    script = scripted_server(dialect, score=values_of, routes=routes)
    with script as server, scorer_of(server) as scorer:
        found = scorer.submit(asked).result(WAIT_S)
        num_asked = [one.path for one in server.asked].count(routes[0])
    assert found.error is None and expected.error is None
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    # One to find out that the route is there.
    assert num_asked == 2
    assert server.asked[-1].headers["X-Session-ID"]


def test_no_children_no_request() -> None:
    with scripted_server(score=values_of) as server, scorer_of(server) as scorer:
        assert len(scorer.submit(request()).result(WAIT_S).values) == 0
    assert len(server.asked) == 1


def test_the_errors_of_a_request_are_those_of_the_packed_scorer() -> None:
    bad = [
        request(*CHILDREN, logprob=float("nan")),
        request_of(3, "Q", ["a"], "b"),
        request("n = 1\n" * 2000),
    ]
    with scripted_server("sglang", score=values_of) as server, scorer_of(server) as scorer:
        for asked, expected in zip(bad, PackedScorer(EMBEDDED).score(bad), strict=True):
            assert expected.error is not None
            assert scorer.submit(asked).result(WAIT_S).error == expected.error


@pytest.mark.parametrize("fault", ["429", "500", "cut", "no_json"])
def test_what_passes_is_asked_again(fault: str) -> None:
    with scripted_server(score=values_of) as server, scorer_of(server) as scorer:
        server.faults = [fault]
        assert scorer.submit(request("x")).result(WAIT_S).error is None


@pytest.mark.parametrize(
    ("route", "value", "message"),
    [
        ("/pooling", [0.0], "a float32 number for each of"),
        ("/pooling", [float("inf")] * 13, "finite value, got inf"),
        ("/classify", [float("nan")], "finite value, got nan"),
        ("/classify", [], "the value of one label, got 0 entries"),
        ("/classify", "no_entries", "data: expected entries with the indices 0 to 0"),
    ],
)
def test_what_makes_no_sense_is_an_error(route: str, value: Any, message: str) -> None:
    with scripted_server(score=values_of, routes=(route,)) as server, scorer_of(server) as scorer:
        if isinstance(value, str):
            server.faults = [value]
        else:
            server.score = lambda tokens: value
        with pytest.raises(ScoreError, match=message):
            scorer.submit(request("x")).result(WAIT_S)


def test_a_refusal_is_the_fault_of_its_request() -> None:
    with scripted_server(score=values_of) as server, scorer_of(server) as scorer:
        server.faults = ["400"]
        assert "HTTP 400: maximum" in scorer.submit(request("x")).result(WAIT_S).error
        assert scorer.submit(request("x")).result(WAIT_S).error is None


def test_a_server_that_does_not_score_is_refused(tmp_path: Path) -> None:
    with scripted_server(score=values_of, routes=()) as server:
        with pytest.raises(ScoreError, match="/classify: HTTP 501: not this task"):
            ServerScorer(server.address, None, ppm_path())
        with pytest.raises(ConfigError, match="route: expected one of auto"):
            ServerScorer(server.address, None, ppm_path(), route="x")  # type: ignore[arg-type]
        with pytest.raises(ScoreError, match="expected a model's folder or hub name"):
            ServerScorer(server.address, None, tmp_path)
    with scripted_server("llama.cpp") as server, pytest.raises(ScoreError, match="or SGLang"):
        ServerScorer(server.address, None, ppm_path())
