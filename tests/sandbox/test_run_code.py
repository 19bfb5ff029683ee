"""`POST /run_code` as the clients of SandboxFusion use it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hostile
import pytest

SUCCESS = {"status": "Finished", "return_code": 0, "stdout": "", "stderr": ""}


def run_result(reply: dict[str, Any]) -> dict[str, Any]:
    found = dict(reply["run_result"])
    assert found.pop("execution_time") > 0
    cpu_s = found.pop("cpu_time")
    assert cpu_s is None if found["return_code"] is None else cpu_s > 0
    return found


def test_the_reply_has_the_fields_that_clients_read(client: Any) -> None:
    reply = client.run_code("print(1)")
    assert run_result(reply) == SUCCESS | {"stdout": "1\n"}
    rest = {name: value for name, value in reply.items() if name != "run_result"}
    assert rest == {
        "status": "Success",
        "message": "",
        "compile_result": None,
        "executor_pod_name": None,
        "files": {},
    }


def test_what_verl_sends(client: Any) -> None:
    body = {
        "compile_timeout": 30,
        "run_timeout": 30,
        "code": "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
        "stdin": "1 2\n3",
        "memory_limit_MB": 256,
        "language": "python",
        "files": {},
        "fetch_files": [],
    }
    reply = client.post("/run_code", **body)
    assert reply["status"] == "Success" and run_result(reply)["stdout"] == "6\n"


ENDS = {
    "exit code": ("raise SystemExit(3)", {"return_code": 3}),
    "streams": (
        "import sys\nprint('o')\nprint('e', file=sys.stderr)\nsys.exit(1)",
        {"return_code": 1, "stdout": "o\n", "stderr": "e\n"},
    ),
    "signal": ("import ctypes\nctypes.string_at(0)", {"return_code": -11}),
    "last words": ("raise SystemExit('no')", {"return_code": 1, "stderr": "no\n"}),
}


@pytest.mark.parametrize("name", ENDS)
def test_programs_that_fail(name: str, client: Any) -> None:
    code, changed = ENDS[name]
    reply = client.run_code(code)
    assert reply["status"] == "Failed" and run_result(reply) == SUCCESS | changed


def test_errors_are_finished_with_a_traceback(client: Any) -> None:
    for code, message in (
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("x = '\0'", "SyntaxError: source code string cannot contain null bytes"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("bytearray(10**11)", "MemoryError"),
        ("print('\ud800')", "surrogates not allowed"),
    ):
        reply = client.run_code(code)
        assert reply["status"] == "Failed"
        assert message in run_result(reply)["stderr"].splitlines()[-1]


def test_what_was_written_survives_the_time_limit(client: Any) -> None:
    reply = client.run_code("print('é', end='')\nwhile True: pass", run_timeout=1)
    assert reply["status"] == "Failed"
    expected = {"status": "TimeLimitExceeded", "return_code": None, "stdout": "é", "stderr": ""}
    assert run_result(reply) == expected


def test_the_memory_limit_is_that_of_the_request(client: Any) -> None:
    code = "x = bytearray(200 << 20)"
    assert client.run_code(code, memory_limit_MB=300)["status"] == "Success"
    assert client.run_code(code, memory_limit_MB=100)["status"] == "Failed"
    assert client.run_code(code, memory_limit_MB=-1)["status"] == "Success"
    # The server's own limit holds too.
    assert client.run_code("x = bytearray(800 << 20)", memory_limit_MB=9999)["status"] == "Failed"


def test_texts_come_back_as_they_are(client: Any) -> None:
    for text in ("a\0b", "\u2028 \U0001f600 é", "\\n \r \t", "<code> <end_of_step>", "x" * 100_000):
        code = (
            "import sys\ntext = sys.stdin.buffer.read().decode()\n"
            f"print(text == {text!r}, text, end='')"
        )
        result = run_result(client.run_code(code, stdin=text))
        assert result["stdout"] == f"True {text}"


def test_floods_of_output_are_cut(client: Any) -> None:
    result = run_result(client.run_code("print('<' + 'x' * 5_000_000 + '>', end='')"))
    assert len(result["stdout"]) == (1 << 20) + 3
    assert result["stdout"].startswith("<x") and result["stdout"].endswith("x>")


UNSUPPORTED = {
    "language": {"language": "cpp"},
    "files": {"files": {"a.txt": "aGk="}},
    "fetch_files": {"fetch_files": ["a.txt"]},
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(name: str, client: Any) -> None:
    reply = client.run_code("print(1)", **UNSUPPORTED[name])
    assert reply["status"] == "SandboxError" and reply["run_result"] is None
    assert reply["message"].startswith(f"{name}: ")


def test_a_text_that_is_too_long_is_refused(client: Any) -> None:
    reply = client.run_code("1", stdin="x" * (4 << 20) + "y")
    assert reply["status"] == "SandboxError" and "standard input" in reply["message"]
    reply = client.run_code("#" * (2 << 20))
    assert reply["status"] == "SandboxError" and "characters" in reply["message"]


MALFORMED: dict[str, tuple[int, Any, str]] = {
    "no JSON": (400, b"{", "expected JSON"),
    "not UTF-8": (400, b'{"code": "\xff"}', "expected JSON"),
    "deep": (400, b"[" * 200_000, "expected JSON"),
    "a list": (422, [1], "expected an object"),
    "no code": (422, {"language": "python"}, "code: expected a string, got nothing"),
    "no language": (422, {"code": ""}, "language: expected a string, got nothing"),
    "code": (422, {"code": 1, "language": "python"}, "code: expected a string, got 1"),
    "stdin": (422, {"code": "", "language": "python", "stdin": 1}, "stdin: "),
    "time": (422, {"code": "", "language": "python", "run_timeout": "1"}, "run_timeout: "),
    "no time": (422, {"code": "", "language": "python", "run_timeout": 0}, "run_timeout: "),
    "not a number": (422, b'{"code":"","language":"python","run_timeout":NaN}', "run_timeout: "),
    "endless": (422, b'{"code":"","language":"python","run_timeout":1e999}', "run_timeout: "),
    "truth": (422, {"code": "", "language": "python", "memory_limit_MB": True}, "memory_limit_MB"),
    "files": (422, {"code": "", "language": "python", "files": [1]}, "files: expected a dict"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_named(name: str, client: Any) -> None:
    status, body, message = MALFORMED[name]
    got, reply, _ = client.ask("POST", "/run_code", body)
    assert got == status and message in reply["detail"]


def test_no_program_reaches_the_port(client: Any) -> None:
    connect = f"import socket\nsocket.create_connection(('127.0.0.1', {client.port}))\nprint('in')"
    native = (
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "print([libc.socket(family, 1, 0) for family in (1, 2, 10, 16)])"
    )
    reply = client.run_code(connect)
    assert "PermissionError" in reply["run_result"]["stderr"]
    assert client.run_code(native)["run_result"]["stdout"] == "[-1, -1, -1, -1]\n"


def test_parallel_clients_get_their_own_answers(client: Any) -> None:
    def one(number: int) -> None:
        if number % 8 == 0:
            programs = [case[0] for case in hostile.REPORTED.values() if isinstance(case[0], str)]
            client.run_code(programs[number % len(programs)], run_timeout=1)
        else:
            reply = client.run_code("print(int(input()) ** 2)", stdin=str(number))
            assert reply["run_result"]["stdout"] == f"{number**2}\n"

    with ThreadPoolExecutor(32) as clients:
        list(clients.map(one, range(200)))
    assert client.ask("GET", "/healthz")[:2] == (200, {"status": "ok"})
