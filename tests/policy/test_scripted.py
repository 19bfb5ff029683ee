"""Policies without a model, the prompts, and the cost of an import."""

import contextlib
import io
import subprocess
import sys

import pytest
from tiny_models import answers, request

from rstar_fast.errors import PolicyError
from rstar_fast.policy import ExpandRequest, ScriptedPolicy
from rstar_fast.prompts import few_shot_prompt, make_prompt
from rstar_fast.steps import MARKS, Segment, final_answer


def test_importing_loads_no_torch() -> None:
    code = """
import sys
import rstar_fast.policy
rstar_fast.policy.Sampling()
assert not {"torch", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_script_by_path() -> None:
    policy = ScriptedPolicy({"": ["a", "b"], "a": ["c"]})
    done = answers(
        policy,
        [
            request(0, n=1),
            request(1, n=5),
            request(2, path=[Segment("a")]),
            request(3, path=[Segment("x")]),
        ],
    )
    assert [[c.text for c in done[i].candidates] for i in range(3)] == [["a"], ["a", "b"], ["c"]]
    assert done[3].error is not None and "'x'" in done[3].error


def test_batches_and_order() -> None:
    def script(ask: ExpandRequest) -> list[str]:
        return [f"{ask.id}"]

    requests = [request(i) for i in range(20)]
    policy = ScriptedPolicy(script, batch=3)
    policy.add(requests)
    assert [e.request_id for e in policy.step()] == [0, 1, 2]
    assert policy.pending == 17
    policy.cancel()
    assert policy.pending == 0

    shuffled = ScriptedPolicy(script, batch=3, shuffle_seed=1)
    done = answers(shuffled, requests)
    assert list(done) != sorted(done)
    assert all(done[i].candidates[0].text == f"{i}" for i in range(20))


def test_solved_examples_are_right() -> None:
    solutions = few_shot_prompt("q").split("<code>")[1:]
    for solution in solutions:
        code, _, rest = solution.partition("<end_of_code>")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code.replace("<end_of_step>", ""), {})
        output = rest.partition("<output>")[2].partition("<end_of_output>")[0]
        assert printed.getvalue().strip() == output
        assert float(final_answer(rest)) == float(output)
    assert len(solutions) == 2


def test_prompts() -> None:
    prompt = few_shot_prompt("What is 1 + 1?")
    assert prompt.endswith("Question: What is 1 + 1?\n")
    assert all(mark in prompt for mark in MARKS)
    assert make_prompt("few_shot", "q") == few_shot_prompt("q")
    with pytest.raises(PolicyError, match="chatty"):
        make_prompt("chatty", "q")  # type: ignore[arg-type]
