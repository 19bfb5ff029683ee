"""Where there is no Linux, everything imports and a search over one's own engine runs.

What needs Linux says so. The other system is this one without what only Linux has.
"""

import subprocess
import sys

WITHOUT_LINUX = """
import asyncio, os, select, selectors, signal, socket, subprocess, sys
import numpy, sympy, rich.console
for module, names in (
    (os, "sched_getaffinity sched_setaffinity pidfd_open memfd_create eventfd pipe2 setresuid"),
    (os, "setresgid O_PATH MFD_CLOEXEC MFD_ALLOW_SEALING sched_yield posix_fadvise fdatasync"),
    (select, "epoll EPOLLIN EPOLLOUT EPOLLHUP"),
    (signal, "pidfd_send_signal"),
    (socket, "SO_PASSCRED SCM_CREDENTIALS"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
selectors.DefaultSelector = selectors.PollSelector
sys.platform = "darwin"
sys.modules["rstar_fast._clone"] = None
"""
ELSEWHERE = """
import sys
import warnings
warnings.simplefilter("error")
import rstar_fast.data, rstar_fast.evaluate, rstar_fast.evolve, rstar_fast.sandbox
from rstar_fast import Executor, Failure, FunctionPolicy, Problem, SearchConfig, Searcher, Tree
from rstar_fast.errors import ExecutorError

def write(requests):
    steps = [
        f"<code>\\n{request.question}\\n<end_of_code>" if not request.path
        else "\\n<answer>\\\\boxed{42}<end_of_answer>"
        for request in requests
    ]
    return [[step] for step in steps]

config = SearchConfig.preset("fast", annotate_terminals_with_ground_truth=True, use_scores=False)
with Searcher(FunctionPolicy(write), config) as searcher:
    problems = [Problem("sum", "print(7 * 6)", "42"), Problem("import", "import os", "42")]
    found = {ended.problem.id: ended for ended in searcher.search(problems)}
tree, failure = found["sum"], found["import"]
assert isinstance(tree, Tree) and tree.solved and tree.nodes[1].observation == "42", tree
assert isinstance(failure, Failure), failure
assert f"need Linux, got {sys.platform}" in failure.reason, failure
try:
    with Executor() as executor:
        executor.run(["print(1)"])
except ExecutorError as error:
    assert "need Linux" in str(error), error
else:
    raise AssertionError("a program ran")
from rstar_fast.cli import main
assert main(["doctor"]) == 2
"""


def test_a_search_and_what_it_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LINUX + ELSEWHERE],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
