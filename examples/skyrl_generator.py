"""Trees in SkyRL: return `TreeGenerator(...)` from `BasePPOExp.get_generator`.

A prompt's repetitions are solutions of one tree. Its rewards are credits of the tokens.
"""

from collections import Counter
from typing import Any

from skyrl.train.generators.base import GeneratorInput, GeneratorInterface, GeneratorOutput

from rstar_fast import Problem, SearchConfig
from rstar_fast.rewards import accepted_answers
from rstar_fast.trainers.one_tree import at_least_one, weighted_advantages
from rstar_fast.trainers.token_policy import TokenPolicy, Written


class TreeGenerator(GeneratorInterface):
    def __init__(self, engine: Any, tokenizer: Any, config: SearchConfig) -> None:
        self._engine, self._tokenizer, self._config = engine, tokenizer, config

    async def generate(self, input_batch: GeneratorInput) -> GeneratorOutput:
        async def write(key: str, ids: list[int], sampling: dict[str, Any]) -> Written:
            out = await self._engine.generate(
                {
                    "prompt_token_ids": [ids],
                    "sampling_params": {**sampling, "logprobs": 1},
                    "session_ids": [key],
                }
            )
            return Written(out["response_ids"][0], (out["response_logprobs"] or [()])[0])

        policy = TokenPolicy(write, self._tokenizer, self._config.prompt, "SkyRL's engine")
        ids = [one.instance_id for one in input_batch["trajectory_ids"]]
        step = input_batch["batch_metadata"].global_step
        rows: dict[str, Any] = {}
        for name, times in Counter(ids).items():
            at = ids.index(name)
            truth = input_batch["env_extras"][at]["reward_spec"]["ground_truth"]
            question = input_batch["prompts"][at][-1]["content"]
            problem = Problem(name, question, accepted_answers(truth), copy=step)
            found = await at_least_one(policy, self._config, problem, times)
            pairs = list(zip(found, weighted_advantages(found), strict=True))
            rows[name] = iter([pairs[i % len(pairs)] for i in range(times)])
        chosen = [next(rows[name]) for name in ids]
        return {
            "prompt_token_ids": [list(one.prompt_ids) for one, _ in chosen],
            "response_ids": [list(one.completion_ids) for one, _ in chosen],
            "rewards": [credit for _, credit in chosen],
            "loss_masks": [list(one.mask) for one, _ in chosen],
            "stop_reasons": ["stop" if one.finished else "length" for one, _ in chosen],
            "rollout_metrics": None,
            "rollout_logprobs": [list(one.logprobs or ()) for one, _ in chosen],
            "trajectory_ids": input_batch["trajectory_ids"],
        }  # type: ignore[typeddict-item]
