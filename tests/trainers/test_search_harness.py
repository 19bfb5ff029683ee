"""Environments of verifiers whose rollouts are searches, and its tools over the sandbox."""

import asyncio
from typing import Any

import pytest
import verifiers.v1 as vf
from mcp.client.client import Client
from rstar_search import SearchHarness
from sandbox_client import start
from verifiers.v1.configs.client import EvalClientConfig
from verifiers.v1.mcp.launch import serve_tools
from verifiers.v1.runtimes import SubprocessConfig, provision_runtime

from rstar_fast.embedded import policy_path
from rstar_fast.policy import TransformersPolicy
from rstar_fast.trainers.python_tools import PythonTools, PythonToolsConfig
from rstar_fast.trainers.rollout_graph import tree_of

SEARCH = {
    "candidates": 2,
    "rollouts": 3,
    "max_depth": 8,
    "temperature": 1.0,
    "use_scores": False,
    "annotate_terminals_with_ground_truth": True,
}


def test_a_rollout_is_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment, the agent and the scoring of verifiers itself."""
    policy = TransformersPolicy(policy_path(), device="cpu", dtype="float32")
    monkeypatch.setattr(SearchHarness, "policy", lambda self, ctx: policy)
    config: Any = vf.SingleAgentEnvConfig.model_validate(
        {
            "taskset": {"id": "rstar_search", "problems": "graded:train:1"},
            "agent": {
                "runtime": {"type": "subprocess"},
                "harness": {
                    "id": "rstar_search",
                    "search": SEARCH,
                    "tokenizer": str(policy_path()),
                },
            },
        }
    )
    env = vf.load_environment(config)
    task = next(iter(env.taskset))
    ctx = vf.ModelContext(model="embedded", client=EvalClientConfig(base_url="http://127.0.0.1:9"))

    async def episodes() -> list[vf.Episode]:
        async with env.serving():
            return [await env.run_episode(task, ctx) for _ in range(2)]

    found = asyncio.run(episodes())
    traces = [one.traces[0] for one in found]
    assert [one.errors for one in (*found, *traces)] == [[], [], [], []]
    trees = [tree_of(trace) for trace in traces]
    for trace, tree in zip(traces, trees, strict=True):
        assert trace.ok and trace.num_turns >= len(tree.nodes) - 1
        assert tree.problem.question == task.data.prompt
        best = tree.best()
        right = best is not None and bool(best.correct)
        assert trace.rewards["correct"].score == float(right)
        assert all(branch.advantages is not None for branch in trace.branches)
    # Each rollout draws anew.
    assert [node.step for node in trees[0].nodes] != [node.step for node in trees[1].nodes]


def test_the_sandbox_is_a_tool() -> None:
    """By the toolset's own server, as verifiers starts it, and a client of its protocol."""
    running = start(workers=1, unconfined=True)
    tools = PythonTools(PythonToolsConfig(sandbox=f"http://127.0.0.1:{running.client.port}"))
    calls = (
        {"code": "x = 6\nprint(x)"},
        {"code": "x = x * 7\nprint(x)"},
        {"code": "print(x / 0)"},
        {"code": "print(x + 1)", "state": "1"},
    )

    async def answers() -> list[str]:
        async with (
            provision_runtime(SubprocessConfig()) as runtime,
            serve_tools([tools], runtime) as urls,
            Client(*urls.values()) as client,
        ):
            found = [await client.call_tool("run_python", one) for one in calls]
            return [one.content[0].text for one in found]

    try:
        found = asyncio.run(answers())
    finally:
        running.stop()
    assert found[:2] == ["6\n[state 1]", "42\n[state 2]"]
    assert "ZeroDivisionError" in found[2] and found[2].endswith("[state 2]")
    assert found[3] == "7\n[state 3]"
