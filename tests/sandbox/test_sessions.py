"""Sessions over HTTP: steps, states, forks, and their bounds."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest


def opened(client: Any) -> str:
    reply = client.post("/sessions", expect=201)
    assert reply["state"] == "0"
    return f"/sessions/{reply['session']}"


def test_steps_go_on_from_the_newest_state(client: Any) -> None:
    path = opened(client)
    assert client.post(f"{path}/run", code="x = 6\nprint('set')", timeout=60)["text"] == "set"
    reply = client.post(f"{path}/run", code="x * 7", timeout=60)
    assert (reply["status"], reply["state"], reply["text"]) == ("ok", "2", "42")
    assert reply["execution_time"] > 0


def test_any_state_can_be_gone_on_from(client: Any) -> None:
    path = opened(client)
    client.post(f"{path}/run", code="x = [1]", timeout=60)
    for number in range(3):
        reply = client.post(
            f"{path}/run", code=f"x.append({number})\nx", timeout=60, **{"from": "1"}
        )
        assert reply["text"] == f"[1, {number}]"
    _, shown, _ = client.ask("GET", path)
    assert [(state["state"], state["from"]) for state in shown["states"]] == [
        ("0", None),
        ("1", "0"),
        ("2", "1"),
        ("3", "1"),
        ("4", "1"),
    ]
    assert client.post(f"{path}/run", code="'x' in globals()", **{"from": "0"})["text"] == "False"


def test_a_failed_step_is_not_added(client: Any) -> None:
    path = opened(client)
    client.post(f"{path}/run", code="x = 1", timeout=60)
    failures = {
        "x = 2\nprint('two')\n1 / 0": ("error", "two\nZeroDivisionError: division by zero"),
        "x = (": ("error", "SyntaxError: '(' was never closed (<unknown>, line 2)"),
        "import os\nos._exit(3)": ("crash", "CrashError: exit status 3"),
    }
    for code, (status, text) in failures.items():
        reply = client.post(f"{path}/run", code=code, timeout=60)
        assert (reply["status"], reply["state"], reply["text"]) == (status, "1", text)
    late = client.post(f"{path}/run", code="print('a')\nwhile True: pass", timeout=1)
    assert (late["status"], late["state"]) == ("timeout", "1")
    assert late["text"].startswith("a\nTimeoutError")
    assert client.post(f"{path}/run", code="x", timeout=60)["text"] == "1"


def test_code_is_code_whatever_it_spells(client: Any) -> None:
    path = opened(client)
    for code in ("s = '<end_of_code>'", "# <code>\n", "s += '<\\\\code>'", "'''<end_of_step>'''\n"):
        client.post(f"{path}/run", code=code, timeout=60)
    reply = client.post(f"{path}/run", code="print(s)", timeout=60)
    assert reply["text"] == "<end_of_code><\\code>"


def test_a_fork_is_a_session_of_its_own(client: Any) -> None:
    path = opened(client)
    client.post(f"{path}/run", code="x = 1", timeout=60)
    client.post(f"{path}/run", code="x = 2", timeout=60)
    fork = client.post(f"{path}/fork", expect=201, **{"from": "1"})
    forked = f"/sessions/{fork['session']}"
    assert client.ask("DELETE", path)[0] == 200
    assert client.post(f"{forked}/run", code="x + 10", timeout=60)["text"] == "11"
    _, shown, _ = client.ask("GET", forked)
    assert shown["states"] == [{"state": "0", "from": None}, {"state": "1", "from": "0"}]


def test_states_whose_processes_are_gone_are_run_again(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rstar_fast.sandbox import server

    make = server.Executor
    monkeypatch.setattr(server, "Executor", lambda **options: make(**options, snapshot_bytes=0))
    client = serving(workers=1, max_time_s=120).client
    path = opened(client)
    client.post(f"{path}/run", code="import random\nx = random.random()\nprint('once')", timeout=60)
    first = client.post(f"{path}/run", code="x", timeout=60)["text"]
    again = client.post(f"{path}/run", code="x", timeout=60, **{"from": "1"})["text"]
    assert first == again and 0 < float(first) < 1


def test_unknown_names_are_refused(client: Any) -> None:
    path = opened(client)
    assert client.ask("POST", f"{path}/run", {"code": "1", "from": "9"})[0] == 404
    assert client.ask("POST", f"{path}/run", {"code": "1", "from": 9})[0] == 422
    assert client.ask("POST", f"{path}/run", {})[0] == 422
    assert client.ask("POST", f"{path}/run", {"code": "1", "timeout": -1})[0] == 422
    assert client.ask("POST", "/sessions/nobody/run", {"code": "1"})[0] == 404
    assert client.ask("DELETE", path)[0] == 200
    assert client.ask("DELETE", path)[0] == 404
    assert client.ask("POST", f"{path}/run", {"code": "1"})[0] == 404


def test_steps_of_one_state_at_the_same_time(client: Any) -> None:
    path = opened(client)
    client.post(f"{path}/run", code="x = 100", timeout=60)

    def one(number: int) -> dict[str, Any]:
        return client.post(f"{path}/run", code=f"x += {number}\nx", timeout=60, **{"from": "1"})

    with ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(one, range(40)))
    assert [reply["text"] for reply in replies] == [str(100 + number) for number in range(40)]
    assert len({reply["state"] for reply in replies}) == 40


def test_sessions_are_bounded_and_expire(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, max_sessions=2, idle_s=2).client
    paths = [opened(client), opened(client)]
    status, reply, headers = client.ask("POST", "/sessions", {})
    assert status == 429 and "2 sessions" in reply["detail"] and int(headers["retry-after"]) > 0
    end_s = time.monotonic() + 120
    while client.ask("POST", "/sessions", {})[0] == 429:
        assert time.monotonic() < end_s
        time.sleep(0.2)
    assert client.ask("GET", paths[0])[0] == 404


def test_a_session_in_use_does_not_expire(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, idle_s=0.5, max_time_s=60).client
    path = opened(client)
    reply = client.post(f"{path}/run", code="import time\ntime.sleep(3)\nprint(1)", timeout=60)
    assert reply["text"] == "1"
