"""The clients of verl and of SandboxFusion itself, unchanged, where they are installed."""

import importlib.metadata
import importlib.util
from typing import Any

import pytest

SUMS = {"inputs": ["1 2", "3 4"], "outputs": ["3", "7\n"]}
ADDS = "a, b = map(int, input().split())\nprint(a + b)"


def verls_client() -> Any:
    """The one module of verl that calls the server. The package imports much that it needs not."""
    pytest.importorskip("requests")
    try:
        files = importlib.metadata.files("verl") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("verl is not installed")
    (file,) = [file for file in files if file.match("reward_score/sandbox_fusion/utils.py")]
    spec = importlib.util.spec_from_file_location("verls_client", str(file.locate()))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERDICTS = {
    "right": (ADDS, [True, True], "success"),
    "wrong": ("print(5)", [False, False], "wrong_answer"),
    "error": ("1 / 0", [-2, -2], "runtime_error"),
    "exit code": ("raise SystemExit(3)", [-2, -2], "runtime_error"),
    "endless": ("while True: pass", [-3, -3], "timeout"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verl(name: str, client: Any) -> None:
    code, verdicts, status = VERDICTS[name]
    url, timeout = f"http://127.0.0.1:{client.port}/run_code", 2 if name == "endless" else 60
    got, metadata = verls_client().check_correctness(url, SUMS, code, timeout=timeout)
    assert got == verdicts and {each["status"] for each in metadata} == {status}


def test_verl_calls_a_function_and_is_refused_another_language(client: Any) -> None:
    check, url = verls_client().check_correctness, f"http://127.0.0.1:{client.port}/run_code"
    case = {"inputs": ["[1, 2]\n3"], "outputs": ["[1, 2, 3]"], "fn_name": "solve"}
    code = "class Solution:\n    def solve(self, a, b): return a + [b]"
    assert check(url, case, code, timeout=60)[0] == [True]
    got, (metadata, _) = check(url, SUMS, "int main() {}", timeout=60, language="cpp")
    assert got == [-1, -1] and metadata["status"] == "sandbox_error"


def test_sandbox_fusion(client: Any) -> None:
    fusion = pytest.importorskip("sandbox_fusion")
    request = fusion.RunCodeRequest(code=ADDS, language="python", stdin="40 2", run_timeout=60)
    endpoint = f"http://127.0.0.1:{client.port}"
    reply = fusion.run_code(request, endpoint=endpoint)
    assert reply.status == "Success" and reply.run_result.stdout == "42\n"
    with pytest.raises(Exception, match="'cpp' is not supported"):
        refused = fusion.RunCodeRequest(code="", language="cpp")
        fusion.run_code(refused, endpoint=endpoint, max_attempts=1)
