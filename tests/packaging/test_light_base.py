"""The base package searches, runs and grades where torch and everything like it is missing."""

import subprocess
import sys

EXTRAS = ("torch", "transformers", "safetensors", "triton", "trl", "datasets", "peft", "accelerate")
BLOCK = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
"""
SEARCH = """
from rstar_fast import FunctionPolicy, Problem, SearchConfig, Searcher, Tree

def write(requests):
    steps = "<code>\\nprint(7 * 6 ** 1, end='')\\n<end_of_code>", "\\n<answer>\\\\boxed{42}<end_of_answer>"
    return [[steps[bool(one.path)]] for one in requests]

config = SearchConfig.preset("fast", annotate_terminals_with_ground_truth=True, use_scores=False)
with Searcher(FunctionPolicy(write), config) as searcher:
    (tree,) = searcher.search([Problem("p", "What is 7 * 6?", "84/2")])
assert isinstance(tree, Tree), tree
assert tree.solved and tree.nodes[1].observation == "42"
"""  # noqa: E501
MISSING = """
import rstar_fast
from rstar_fast.errors import RStarError
for name in ("TransformersPolicy", "PPM", "PackedScorer"):
    try:
        getattr(rstar_fast, name)
    except RStarError as error:
        assert "rstar-fast[local]" in str(error), error
    else:
        raise AssertionError(f"{name} was found")
import rstar_fast.data, rstar_fast.evaluate, rstar_fast.evolve, rstar_fast.training
from rstar_fast.cli import main
assert main(["search", "--problems", "graded:train:1", "--policy", "embedded", "--ppm", "embedded",
             "--preset", "fast", "--out", sys.argv[1] + "/run"]) == 2
assert main(["demo"]) == 2
"""

# With an HTTP client, but nothing else.
SERVER = """
from rstar_fast.errors import RStarError, TransientError
from rstar_fast.policy import ServerPolicy
for options, expected in (({}, TransientError), ({"tokenizer": "x"}, RStarError)):
    try:
        ServerPolicy("http://127.0.0.1:9", **options)
    except expected as error:
        assert options == {} or "rstar-fast[local]" in str(error), error
"""

NO_HTTP = """
import sys
sys.modules["httpx2"] = None
from rstar_fast.cli import main
assert main(["search", "--problems", "graded:train:1", "--policy", "http://127.0.0.1:9/v1#m",
             "--preset", "paper-round-1", "--out", sys.argv[1] + "/run"]) == 2
"""


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BLOCK + program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_search_over_ones_own_engine() -> None:
    done = run(SEARCH)
    assert done.returncode == 0, done.stderr


def test_what_needs_an_extra_says_which(tmp_path: str) -> None:
    done = run(MISSING + SERVER, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('pip install "rstar-fast[local]"') == 2
    assert "Traceback" not in done.stderr


def test_a_server_needs_an_http_client(tmp_path: str) -> None:
    done = run(NO_HTTP, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('pip install "rstar-fast[server]"') == 1
    assert "Traceback" not in done.stderr
