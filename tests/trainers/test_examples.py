"""The examples for trainers: OpenRLHF's by its own interface, SkyRL's and slime's by stand-ins.

SkyRL needs a later Python, and slime is in no package index.
"""

import asyncio
import importlib
import importlib.metadata
import importlib.util
import sys
from abc import ABC
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from drawing import draw_tokens

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.problems import Problem, read_problems
from rstar_fast.trainers.one_tree import at_least_one, solutions, weighted_advantages
from rstar_fast.trainers.token_policy import TokenPolicy, Written
from rstar_fast.training_samples import Sample

SMALL = SearchConfig(
    candidates=2,
    rollouts=3,
    max_depth=8,
    temperature=1.0,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> ModuleType:
    """Put a module, and the packages that it is in, in the place of one that is not installed."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:count]))
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    vars(module).update(attributes)
    return module


class Engine:
    """Draws by a model in this process."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.tokenizer = load_tokenizer(policy_path())
        self.model = load(policy_path(), torch.float32, torch.device("cpu"))

    def draw(self, ids: list[int], sampling: dict[str, Any]) -> tuple[list[int], list[float]]:
        return draw_tokens(self.model, self.tokenizer.eos_token_id, ids, sampling)

    @torch.inference_mode()
    def check(self, ids: list[int], logprobs: list[float], drawn: list[int]) -> None:
        """The log-probabilities of drawn tokens are those of a plain forward."""
        scores = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in drawn:
            assert float(scores[place - 1, ids[place]]) == pytest.approx(logprobs[place], abs=1e-4)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def test_openrlhf(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    try:
        files = importlib.metadata.files("openrlhf") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("openrlhf is not installed")
    # The one module of the interface. Its package imports much that it needs not.
    stand_in(monkeypatch, "openrlhf.utils")
    for part in ("logging_utils", "agent"):
        (file,) = [file for file in files if file.match(f"openrlhf/utils/{part}.py")]
        spec = importlib.util.spec_from_file_location(f"openrlhf.utils.{part}", file.locate())
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    example = importlib.import_module("openrlhf_agent")
    monkeypatch.setattr(example, "CONFIG", SMALL)

    async def generate(ids: list[int], params: Any, multi_modal_data: Any = None) -> Any:
        drawn, logprobs = engine.draw(ids, vars(params))
        told = [{i: SimpleNamespace(logprob=p)} for i, p in zip(drawn, logprobs, strict=True)]
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=drawn, logprobs=told)])

    (problem, *_) = read_problems("graded:train:1")

    async def run() -> list[dict[str, Any]]:
        executor = example.AgentExecutor()
        llm = SimpleNamespace(generate=generate)
        params = SimpleNamespace(logprobs=0)
        return await asyncio.gather(
            *(
                executor.execute(
                    problem.question,
                    problem.answers[0],
                    deepcopy(params),
                    512,
                    engine.tokenizer,
                    llm,
                )
                for _ in range(3)
            )
        )

    for one in asyncio.run(run()):
        drawn = [i for begin, end in one["action_ranges"] for i in range(begin, end)]
        assert drawn and one["reward"] in (0.0, 1.0)
        engine.check(one["observation_tokens"], one["rollout_log_probs"], drawn)


def test_skyrl(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    if importlib.util.find_spec("skyrl") is None:
        kinds = {"GeneratorInput": dict, "GeneratorOutput": dict}
        stand_in(monkeypatch, "skyrl.train.generators.base", GeneratorInterface=ABC, **kinds)
    example = importlib.import_module("skyrl_generator")

    class Client:
        async def generate(self, asked: dict[str, Any]) -> dict[str, Any]:
            drawn, logprobs = engine.draw(asked["prompt_token_ids"][0], asked["sampling_params"])
            return {"response_ids": [drawn], "response_logprobs": [logprobs]}

    problems = list(read_problems("graded:train:1"))[:2] * 2
    batch = {
        "prompts": [[{"role": "user", "content": one.question}] for one in problems],
        "env_extras": [{"reward_spec": {"ground_truth": one.answers[0]}} for one in problems],
        "trajectory_ids": [
            SimpleNamespace(instance_id=one.id, repetition_id=i // 2)
            for i, one in enumerate(problems)
        ],
        "batch_metadata": SimpleNamespace(global_step=3),
    }

    async def run() -> dict[str, Any]:
        made = example.TreeGenerator(Client(), engine.tokenizer, SMALL)
        found: dict[str, Any] = await made.generate(batch)
        return found

    found = asyncio.run(run())
    assert {len(found[key]) for key in ("response_ids", "rewards", "loss_masks")} == {4}
    for i, prompt in enumerate(found["prompt_token_ids"]):
        mask, rewards = found["loss_masks"][i], found["rewards"][i]
        assert len(mask) == len(rewards) == len(found["response_ids"][i])
        drawn = [len(prompt) + place for place, one in enumerate(mask) if one]
        logprobs = [0.0] * len(prompt) + found["rollout_logprobs"][i]
        engine.check(prompt + found["response_ids"][i], logprobs, drawn)
    assert found["prompt_token_ids"][0] == found["prompt_token_ids"][2]


@dataclass
class SlimeSample:
    """The fields of slime's own that the example reads and writes."""

    class Status(Enum):
        PENDING = "pending"
        COMPLETED = "completed"
        TRUNCATED = "truncated"

    prompt: Any
    label: str
    group_index: int = 0
    index: int = 0
    rollout_id: int | None = None
    tokens: list[int] = field(default_factory=list)
    response: str = ""
    response_length: int = 0
    loss_mask: list[int] | None = None
    reward: float | None = None
    rollout_log_probs: list[float] | None = None
    status: Status = Status.PENDING


def test_slime(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    async def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
        assert url == "http://router:1/generate" and body["return_logprob"]
        asked = body["sampling_params"]
        sampling = {
            **asked,
            "max_tokens": asked["max_new_tokens"],
            "seed": asked["sampling_seed"],
        }
        drawn, logprobs = engine.draw(body["input_ids"], sampling)
        told = [(p, i, None) for i, p in zip(drawn, logprobs, strict=True)]
        return {"meta_info": {"output_token_logprobs": told}}

    def state(args: Any) -> Any:
        return SimpleNamespace(tokenizer=engine.tokenizer)

    stand_in(monkeypatch, "slime.utils.types", Sample=SlimeSample)
    package = sys.modules["slime"]
    stand_in(monkeypatch, "slime.rollout.sglang_rollout", GenerateState=state, post=post)
    monkeypatch.setitem(sys.modules, "slime", package)
    example = importlib.import_module("slime_rollout")
    monkeypatch.setattr(example, "CONFIG", SMALL)
    (problem, *_) = read_problems("graded:train:1")
    args = SimpleNamespace(sglang_router_ip="router", sglang_router_port=1)
    sample = SlimeSample(problem.question, problem.answers[0], 3, 7)
    found = asyncio.run(example.generate(args, sample, {"max_new_tokens": 9, "temperature": 1.0}))
    assert found and {one.rollout_id for one in found} == {7}
    for one in found:
        begin = len(one.tokens) - one.response_length
        drawn = [begin + i for i, mask in enumerate(one.loss_mask) if mask]
        engine.check(one.tokens, [0.0] * begin + one.rollout_log_probs, drawn)
        assert one.status is not SlimeSample.Status.PENDING and one.reward in (0.0, 1.0)


def test_programs_that_are_no_arithmetic_run_in_the_shared_workers(engine: Engine) -> None:
    texts = iter(
        [
            "<code>\nimport math\nprint(math.factorial(4))\n<end_of_code>",
            "<answer>It is $\\boxed{24}$.<end_of_answer>",
        ]
    )
    config = SMALL.with_changes(candidates=1, rollouts=2)

    async def write(key: str, ids: list[int], sampling: dict[str, Any]) -> Written:
        return Written(engine.tokenizer(next(texts)).input_ids)

    async def run() -> list[Sample]:
        policy = TokenPolicy(write, engine.tokenizer, SMALL.prompt)
        return await solutions(policy, config, Problem("p", "What is 4!?", ("24",)))

    (one,) = asyncio.run(run())
    assert one.reward == 1.0
    assert "<output>24<end_of_output>" in engine.tokenizer.decode(one.completion_ids)


def test_a_tree_without_solutions_gives_an_empty_completion(engine: Engine) -> None:
    """As where the answer of every path is unsure."""
    unsure = engine.tokenizer("<answer>It is $\\boxed{about 5}$.<end_of_answer>").input_ids
    problem = Problem("p", "How many?", ("5",))

    async def write(key: str, ids: list[int], sampling: dict[str, Any]) -> Written:
        return Written(unsure)

    async def run() -> list[list[Sample]]:
        policy = TokenPolicy(write, engine.tokenizer, SMALL.prompt)
        return [await made(policy, SMALL, problem) for made in (solutions, at_least_one)]

    none, (one,) = asyncio.run(run())
    assert none == []
    assert one.completion_ids == (engine.tokenizer.eos_token_id,)
    assert (one.mask, one.reward, one.finished) == ((0,), 0.0, False)
    assert weighted_advantages([one]) == [[0.0]]
