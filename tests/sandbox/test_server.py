"""The server itself: what comes in badly, what is too much, and its end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sandbox_client import start

from rstar_fast.errors import ConfigError, IsolationError
from rstar_fast.sandbox.options import SandboxOptions
from rstar_fast.verify.execute.isolation import Isolation

WAIT_S = 300
SLOW = {"code": "import time\ntime.sleep(30)", "language": "python", "run_timeout": 60}


def talk(port: int, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(data)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
    return found


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def gauge(client: Any, name: str) -> float:
    page = client.ask("GET", "/metrics")[1]
    (line,) = [line for line in page.splitlines() if line.startswith(f"rstar_fast_sandbox_{name} ")]
    return float(line.split()[1])


def test_routes(client: Any) -> None:
    status, reply, _ = client.ask("GET", "/nowhere")
    assert status == 404 and "/run_code" in reply["detail"]
    status, _, headers = client.ask("GET", "/run_code")
    assert status == 405 and headers["allow"] == "POST"
    assert client.ask("GET", "/healthz?x=1")[:2] == (200, {"status": "ok"})


def test_metrics_count_programs(client: Any) -> None:
    client.run_code("print(1)")
    client.run_code("1 / 0")
    status, page, headers = client.ask("GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    assert 'rstar_fast_sandbox_programs_total{kind="script",status="ok"} ' in page
    assert 'rstar_fast_sandbox_programs_total{kind="script",status="error"} ' in page
    assert 'rstar_fast_sandbox_requests_total{route="/run_code",code="200"} ' in page
    for line in page.splitlines():
        assert line.startswith("# TYPE ") or float(line.rpartition(" ")[2]) >= 0


HEAD = b"POST /run_code HTTP/1.1\r\nhost: x\r\n"
JSON = b"content-type: application/json\r\n"
BAD = {
    "not HTTP": (b"\x16\x03\x01 hello\r\n\r\n", b"400"),
    "no length": (HEAD + JSON + b"transfer-encoding: chunked\r\n\r\n", b"411"),
    "two lengths": (HEAD + JSON + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", b"400"),
    "long head": (HEAD + b"x: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
    "huge body": (HEAD + JSON + b"content-length: 99999999999\r\n\r\n", b"413"),
    "another type": (HEAD + b"content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}", b"415"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_answered_and_ended(name: str, client: Any) -> None:
    data, status = BAD[name]
    assert talk(client.port, data).startswith(b"HTTP/1.1 " + status)
    assert client.run_code("print(1)")["status"] == "Success"


def test_a_body_that_is_sent_although_it_is_too_large(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, max_body_bytes=1000).client
    status, reply, _ = client.ask("POST", "/run_code", b"x" * 3_000_000)
    assert status == 413 and "1000 bytes" in reply["detail"]


def test_a_connection_serves_many_requests(client: Any) -> None:
    body = b'{"code": "print(1)", "language": "python"}'
    one = HEAD + JSON + b"content-length: %d\r\n" % len(body)
    replies = talk(
        client.port, 3 * (one + b"\r\n" + body) + one + b"connection: close\r\n\r\n" + body
    )
    assert replies.count(b"HTTP/1.1 200") == 4 and replies.count(b'"Success"') == 4


def test_slow_clients_are_ended_and_hold_nobody_up(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, receive_s=1.0).client
    with ThreadPoolExecutor(30) as clients:
        slow = [clients.submit(talk, client.port, HEAD + JSON[:9]) for _ in range(10)]
        head = HEAD + JSON + b"content-length: 1000\r\n\r\n"
        slow += [clients.submit(talk, client.port, head + b"{") for _ in range(10)]
        assert client.run_code("print(1)")["status"] == "Success"
        assert all(b" 408 " in future.result(WAIT_S) for future in slow)


def test_a_full_queue_is_429(serving: Callable[..., Any]) -> None:
    running = serving(workers=1, max_waiting=1, max_time_s=60)
    client = running.client
    with ThreadPoolExecutor(3) as clients:
        # Two that the executor holds, and one that waits.
        for number in range(3):
            clients.submit(client.ask, "POST", "/run_code", SLOW)
            until(lambda n=number: gauge(client, "running") + gauge(client, "waiting") == n + 1)  # type: ignore[misc]
        status, reply, headers = client.ask("POST", "/run_code", SLOW)
        assert status == 429 and "wait" in reply["detail"] and int(headers["retry-after"]) >= 1
        assert client.ask("GET", "/metrics")[0] == 200
        running.stop()


def test_a_client_that_leaves_gives_up_its_place(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, max_waiting=8, max_time_s=60).client
    body = b'{"code": "import time; time.sleep(15)", "language": "python", "run_timeout": 30}'
    head = HEAD + JSON + b"content-length: %d\r\n\r\n" % len(body)
    connections = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(5)]
    for connection in connections:
        connection.sendall(head + body)
    until(lambda: gauge(client, "waiting") == 3)
    for connection in connections:
        connection.close()
    until(lambda: gauge(client, "waiting") == 0)
    assert gauge(client, "running") <= 2


def test_too_many_connections_are_503(serving: Callable[..., Any]) -> None:
    client = serving(workers=1, max_connections=9).client
    held = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(9)]
    assert [talk_status(client.port) for _ in range(8)] == [503] * 8
    for connection in held:
        connection.close()
    until(lambda: talk_status(client.port) == 200)


def talk_status(port: int) -> int:
    data = talk(port, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    return int(data.split()[1])


def test_killed_workers_are_replaced(serving: Callable[..., Any]) -> None:
    running = serving(workers=1)
    executor = running.server._routes._executor
    assert running.client.run_code("print(1)")["status"] == "Success"
    for kind in ("zygotes", "supervisor"):
        for pid in executor.report()["pids"][kind]:
            os.kill(pid, signal.SIGKILL)
        assert running.client.run_code("print(1)")["status"] == "Success"


def test_the_end_answers_what_runs(serving: Callable[..., Any]) -> None:
    running = serving(workers=1)
    pids = [
        pid for group in running.server._routes._executor.report()["pids"].values() for pid in group
    ]
    with ThreadPoolExecutor(1) as clients:
        reply = clients.submit(running.client.ask, "POST", "/run_code", SLOW)
        until(lambda: gauge(running.client, "running") == 1)
        running.stop()
        status, content, _ = reply.result(WAIT_S)
    assert status == 200 and content["status"] == "SandboxError"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_isolation_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Isolation, "missing", property(lambda self: ["seccomp (no)"]))
    with pytest.raises(IsolationError, match="seccomp"):
        start(workers=1)


@pytest.mark.parametrize(
    "option",
    [
        {"port": -1},
        {"port": 65536},
        {"max_waiting": -1},
        {"max_time_s": 0},
        {"max_sessions": 0},
        {"idle_s": -1.0},
        {"max_body_bytes": 0},
    ],
)
def test_options_are_checked(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        SandboxOptions(**option)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_with_all_its_processes(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "rstar_fast", "sandbox", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--unconfined"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    assert line.startswith("Listening on http://127.0.0.1:"), process.stderr.read()
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    pids = [pid for path in tasks for pid in path.read_text().split()]
    assert pids
    process.send_signal(number)
    assert process.wait(WAIT_S) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "rstar_fast", "sandbox", "--unconfined", "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert ended.returncode == 2 and "address already in use" in ended.stderr.lower()


def test_a_missing_package_is_named() -> None:
    program = "import sys\nsys.modules['h11'] = None\nfrom rstar_fast.cli import main\n"
    command = [sys.executable, "-c", program + "sys.exit(main(['sandbox', '--unconfined']))"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert ended.returncode == 2 and 'pip install "rstar-fast[sandbox]"' in ended.stderr
