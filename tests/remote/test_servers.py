"""Several servers with one model: which gets what, and what happens when one is lost."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from scripted_server import ScriptedServer, Text, scripted_server

from rstar_fast.errors import PolicyError
from rstar_fast.policy import ExpandRequest, Sampling, ServerPolicy
from rstar_fast.policy import server as policy_server
from rstar_fast.remote import replicas, retries, servers
from rstar_fast.remote.addresses import server_root
from rstar_fast.remote.http import _wait_s
from rstar_fast.steps import END_OF_STEP

WAIT_S = 60


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(servers, "_PROBE_S", 0.05)


@pytest.fixture
def two() -> Iterator[list[ScriptedServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(scripted_server(write=step)) for _ in range(2)]


def step(body: dict[str, Any]) -> Text:
    return Text("<code>\nx = 1\n", END_OF_STEP)


def request(problem: int, node: int = 0) -> ExpandRequest:
    return ExpandRequest(node, f"p{problem}", node, "Q", (), 1, 0, Sampling())


def policy_of(*of: ScriptedServer, **options: Any) -> ServerPolicy:
    return ServerPolicy([server.address for server in of], **options)


def expand(policy: ServerPolicy, problems: range, nodes: range = range(1)) -> None:
    futures = [policy.submit(request(problem, node)) for node in nodes for problem in problems]
    assert all(future.result(WAIT_S).error is None for future in futures)


def wait_for(condition: Any) -> None:
    ready = threading.Event()
    for _ in range(WAIT_S * 50):
        if condition():
            return
        ready.wait(0.02)
    raise AssertionError("it does not happen")


def test_trees_are_shared_out_and_each_stays_where_it_is(two: list[ScriptedServer]) -> None:
    for server in two:
        server.delay_s = 0.01
    policy = policy_of(*two)
    for node in range(5):
        expand(policy, range(8), range(node, node + 1))
    policy.close()
    counts = [Counter(one.headers["X-Session-ID"] for one in server.asked) for server in two]
    assert [set(count.values()) for count in counts] == [{5}, {5}]
    assert [len(count) for count in counts] == [4, 4]


def test_a_lost_server_loses_nothing_and_comes_back(two: list[ScriptedServer]) -> None:
    policy = policy_of(*two)
    expand(policy, range(6))
    for server in two:
        server.delay_s = 0.05
    futures = [policy.submit(request(problem, 1)) for problem in range(6)]
    wait_for(lambda: two[1].now)
    two[1].kill()
    assert all(future.result(WAIT_S).error is None for future in futures)
    before = len(two[1].asked)
    expand(policy, range(6), range(2, 4))
    assert len(two[1].asked) == before
    two[1].start()
    wait_for(lambda: not policy._servers._replicas.all[1].lost)
    expand(policy, range(10, 20))
    policy.close()
    assert len(two[1].asked) > before


def test_a_server_that_only_fails_is_left(two: list[ScriptedServer]) -> None:
    policy = policy_of(*two)
    two[0].faults = ["500"] * 1000
    expand(policy, range(10), range(2))
    policy.close()
    assert len(two[0].asked) < 40


def test_one_server_that_is_killed_and_started_again(two: list[ScriptedServer]) -> None:
    server = two[0]
    policy = policy_of(server)
    expand(policy, range(3))
    server.kill()
    futures = [policy.submit(request(problem, 1)) for problem in range(20)]
    server.start()
    assert all(future.result(WAIT_S).error is None for future in futures)
    policy.close()


def test_servers_that_do_not_answer_at_first_join_later(two: list[ScriptedServer]) -> None:
    two[1].kill()
    policy = policy_of(*two)
    expand(policy, range(4))
    two[1].start()
    wait_for(lambda: not policy._servers._replicas.all[1].lost)
    expand(policy, range(4, 12))
    policy.close()
    assert two[1].asked


def test_every_server_must_have_the_model(two: list[ScriptedServer]) -> None:
    two[1].model = "other"
    with pytest.raises(PolicyError, match="expected the model 'm'; the server has 'other'"):
        policy_of(*two, model="m")
    two[1].kill()
    policy = policy_of(*two, model="m")
    two[1].start()
    # It is asked who it is, and stays out.
    wait_for(lambda: not policy._servers._probes)
    expand(policy, range(6))
    policy.close()
    assert not two[1].asked


def test_a_busy_server_lends_its_requests() -> None:
    async def choose() -> list[int]:
        of = replicas.Replicas(["a", "b"], 100)
        places = []
        async with asyncio.timeout(WAIT_S):
            for _ in range(20):
                context = of.place("one session")
                places.append((context, await context.__aenter__()))
            loads = [replica.load for replica in of.all]
            for context, _ in places:
                await context.__aexit__(None, None, None)
            assert [replica.load for replica in of.all] == [0, 0]
        return loads

    first, second = asyncio.run(choose())
    assert first + second == 20
    assert second >= 5 and first <= 2 * second + 6


@pytest.mark.parametrize(
    ("dialect", "quick", "options", "places"),
    [
        ("vllm", 1.0, {}, 5),
        ("sglang", 1.0, {}, 5),
        ("vllm", 0.0, {}, 2),
        ("vllm", 1.0, {"concurrency": 3}, 3),
        ("llama.cpp", 1.0, {}, 2),
        ("openai", 1.0, {}, 2),
    ],
)
def test_a_server_that_answers_quickly_gets_more_at_once(
    dialect: str,
    quick: float,
    options: dict[str, int],
    places: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy_server, "_PLACES", 2)
    monkeypatch.setattr(policy_server, "_MOST_PLACES", 5)
    monkeypatch.setattr(servers, "_QUICK", quick)
    with scripted_server(dialect, step) as one:
        policy = policy_of(one, **options)
        expand(policy, range(20))
        assert one.most <= places
        (replica,) = policy._servers._replicas.all
        assert replica.places._value == places
        policy.close()


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("http://a", "http://a"),
        ("https://A:8/x/v1/", "https://a:8/x"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_routes_are_below_the_root(address: str, root: str) -> None:
    assert server_root(address) == root


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [("2.5", 2.5), ("-3", 0.0), ("1e9", 600.0), ("nan", None), ("inf", None), ("soon", None)],
)
def test_how_long_a_server_wants_to_be_left_alone(after: str, wait_s: float | None) -> None:
    assert _wait_s(after) == wait_s
    assert _wait_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
