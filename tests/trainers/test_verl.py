"""verl's own agent loops and tools over trees and the executor."""

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawing import draw_tokens
from omegaconf import OmegaConf
from verl.experimental.agent_loop import agent_loop as verls
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl.trainer.ppo.v1 import agent_loop_tq
from verl.workers.rollout.replica import TokenOutput

from rstar_fast.embedded import policy_path
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.problems import read_problems
from rstar_fast.trainers import verl_loop
from rstar_fast.trainers.verl_tool import PythonTool

SEARCH = {
    "candidates": 3,
    "rollouts": 3,
    "max_depth": 8,
    "use_scores": False,
    "annotate_terminals_with_ground_truth": True,
}


class Manager:
    """Answers as verl's `LLMServerClient` does, by a model in this process."""

    def __init__(self) -> None:
        self.model = load(policy_path(), torch.float32, torch.device("cpu"))
        self.eos = load_tokenizer(policy_path()).eos_token_id
        self.asked: list[dict[str, Any]] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]
    ) -> TokenOutput:
        self.asked.append({"request_id": request_id, **sampling_params})
        ids, logprobs = draw_tokens(self.model, self.eos, prompt_ids, sampling_params)
        await asyncio.sleep(0)
        return TokenOutput(
            token_ids=ids,
            log_probs=logprobs,
            stop_reason="completed",
            extra_fields={"global_steps": 3},
        )


def worker(**options: Any) -> Any:
    """verl's worker, with its own `_run_agent_loop` and what it does with the outputs."""
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {
                "rollout": {"name": "vllm", "n": 2, "prompt_length": 512, "response_length": 512}
            },
            "data": {},
        }
    )
    target = f"{verl_loop.__name__}.TreeAgentLoop"
    verls._agent_loop_registry["ours"] = {"_target_": target, "search": SEARCH, **options}
    # The class of the actor, without its constructor, which asks for a whole configuration.
    actor = agent_loop_tq.AgentLoopWorkerTQ.__ray_metadata__.modified_class
    made = actor.__new__(actor)
    made.config, made.rollout_config = config, config.actor_rollout_ref.rollout
    made.llm_client, made.tokenizer, made.processor = Manager(), load_tokenizer(policy_path()), None
    made.hf_model_type, made.dataset_cls, made.tools = None, None, []
    made.reward_loop_worker_handles, made.distillation_enabled = None, False
    made.mm_processor_kwargs = {}
    return made


def put(
    monkeypatch: pytest.MonkeyPatch, made: Any, session_id: int, **fields: Any
) -> list[dict[str, Any]]:
    """The rows that verl's trainer would find in its queue."""
    rows: list[Any] = []

    async def keep(**fields: Any) -> None:
        rows.append(fields)

    monkeypatch.setattr(agent_loop_tq.tq, "async_kv_batch_put", keep)
    monkeypatch.setattr(agent_loop_tq, "list_of_dict_to_tensordict", lambda fields: fields)
    *_, problem = read_problems("graded:train:1")

    row = {
        "raw_prompt": [{"role": "user", "content": problem.question}],
        "reward_model": {"ground_truth": problem.answers[0]},
    }

    async def run() -> None:
        trajectory = {"step": 3, "sample_index": 0, "rollout_n": 0, "validate": False}
        sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "logprobs": True}
        await made._run_agent_loop(
            sampling,
            trajectory,
            agent_name="ours",
            trace=False,
            session_id=session_id,
            uid="u",
            index=np.int64(0),
            global_steps=3,
            **(row | fields),
        )

    asyncio.run(run())
    (kept,) = rows
    assert kept["keys"] == [f"u_{session_id}_{i}" for i in range(len(kept["fields"]))]
    assert all(tag["min_global_steps"] == tag["max_global_steps"] == 3 for tag in kept["tags"])
    found: list[dict[str, Any]] = kept["fields"]
    return found


@pytest.mark.parametrize("truth", [12, 12.5, np.int64(12), ["12", 13], np.array(["12"])])
def test_truths_and_prompts_of_other_forms(monkeypatch: pytest.MonkeyPatch, truth: Any) -> None:
    *_, problem = read_problems("graded:train:1")
    prompt = [{"role": "user", "content": [{"type": "text", "text": problem.question}]}]
    fields = {"reward_model": {"ground_truth": truth}, "raw_prompt": prompt}
    assert put(monkeypatch, worker(leaves=2), 0, **fields)


def test_a_tree_is_a_list_of_outputs_with_rewards_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = worker(leaves=4)
    rows = put(monkeypatch, made, 0)
    assert 1 < len(rows) <= 4
    for row in rows:
        drawn = row["response_mask"].bool()
        assert not row["rm_scores"][:-1].any() and row["rm_scores"][-1] in (0, 1)
        with torch.inference_mode():
            scores = made.llm_client.model(row["input_ids"][None]).logits[0, :-1].log_softmax(-1)
        again = scores.gather(1, row["input_ids"][1:, None])[len(row["prompts"]) - 1 :, 0]
        assert torch.allclose(again[drawn], row["rollout_log_probs"][drawn], atol=1e-4)
    assert {one["request_id"] for one in made.llm_client.asked} == {"u#6"}
    # Another rollout of the prompt is another tree.
    others = put(monkeypatch, made, 1)
    assert [row["responses"].tolist() for row in others] != [
        row["responses"].tolist() for row in rows
    ]


def test_the_credit_of_the_steps_goes_through_an_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = put(monkeypatch, worker(credit="q"), 0)
    assert any(row["rm_scores"][:-1].any() for row in rows)
    for row in rows:
        mask = row["response_mask"].float()
        advantages, returns = get_adv_estimator_fn("rstar_tree")(
            token_level_rewards=row["rm_scores"][None], response_mask=mask[None], config=None
        )
        assert torch.equal(advantages[0], row["rm_scores"] * mask)
        assert torch.equal(advantages, returns)


def test_the_executor_is_a_tool() -> None:
    async def calls() -> list[Any]:
        tool = PythonTool({"wall_s": 60})
        one, _ = await tool.create()
        two, _ = await tool.create()
        found = [
            await tool.execute(one, {"code": "x = 6"}),
            await tool.execute(two, {"code": "print(x)"}),
            await tool.execute(one, {"code": "print(x * 7)"}),
        ]
        await tool.release(one)
        await tool.release(two)
        return found

    (_, other, shown) = asyncio.run(calls())
    assert shown[0].text == "42" and shown[1:] == (0.0, {"status": "ok"})
    assert "NameError" in other[0].text and other[2] == {"status": "error"}


@pytest.mark.parametrize("parameters", [{}, {"code": None}, {"code": 3}, [], "print(1)", None])
def test_a_call_without_code_is_an_error_for_the_model(parameters: Any) -> None:
    async def call() -> Any:
        tool = PythonTool({})
        one, _ = await tool.create()
        return await tool.execute(one, parameters)

    response, _, told = asyncio.run(call())
    assert response.text == "expected a text as code" and told == {"status": "error"}


def test_what_the_loop_cannot_do_is_refused() -> None:
    config = SimpleNamespace(config=OmegaConf.create({"actor_rollout_ref": {"rollout": {}}}))
    data = SimpleNamespace(config=OmegaConf.create({}))
    parts = (config, None, load_tokenizer(policy_path()), None, None, data)
    with pytest.raises(Exception, match="use_scores: expected False"):
        asyncio.run(made(parts, search={"use_scores": True}))
    with pytest.raises(Exception, match="leaves: expected an integer of at least 1"):
        asyncio.run(made(parts, search=SEARCH, leaves=0))
    with pytest.raises(Exception, match="credit: expected one of"):
        asyncio.run(made(parts, search=SEARCH, credit="luck"))


async def made(parts: Any, **options: Any) -> Any:
    return verl_loop.TreeAgentLoop(*parts, **options)
