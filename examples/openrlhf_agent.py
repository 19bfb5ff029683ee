"""Trees in OpenRLHF: `--train.agent_func_path examples/openrlhf_agent.py`.

A prompt's n samples are n solutions of one tree. The label is the accepted answer.
"""

import asyncio
from collections import defaultdict
from copy import copy
from itertools import count
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase

from rstar_fast import Problem, SearchConfig
from rstar_fast.rewards import accepted_answers
from rstar_fast.trainers.one_tree import at_least_one
from rstar_fast.trainers.token_policy import TokenPolicy, Written

CONFIG = SearchConfig(use_scores=False, annotate_terminals_with_ground_truth=True, temperature=1.0)
LEAVES = 8  # as many as --rollout.n_samples_per_prompt


class AgentExecutor(AgentExecutorBase):
    def __init__(self) -> None:
        self._trees: dict[str, asyncio.Task[Any]] = {}
        self._numbers: defaultdict[str, count[int]] = defaultdict(count)

    async def execute(
        self, prompt, label, sampling_params, max_length, hf_tokenizer, llm_engine, images=None
    ):  # type: ignore[no-untyped-def]
        async def write(key: str, ids: list[int], sampling: dict[str, Any]) -> Written:
            params = copy(sampling_params)
            for name, value in sampling.items():
                setattr(params, name, value)
            params.logprobs = 1
            (out,) = (await llm_engine.generate(ids, params)).outputs
            told = [of[i].logprob for i, of in zip(out.token_ids, out.logprobs, strict=True)]
            return Written(out.token_ids, told)

        number = next(self._numbers[prompt])
        if number % LEAVES == 0:
            policy = TokenPolicy(write, hf_tokenizer, CONFIG.prompt, "OpenRLHF's engine")
            answers = accepted_answers(label)
            problem = Problem(prompt, prompt, answers, copy=number // LEAVES)
            search = at_least_one(policy, CONFIG, problem, LEAVES)
            self._trees[prompt] = asyncio.ensure_future(search)
        found = await self._trees[prompt]
        one = found[number % len(found)]
        begin = len(one.prompt_ids)
        drawn = [begin + i for i, mask in enumerate(one.mask) if mask]
        return {
            "prompt": prompt,
            "label": label,
            "images": images,
            "observation_tokens": [*one.prompt_ids, *one.completion_ids],
            "action_ranges": [(i, i + 1) for i in drawn],
            "rollout_log_probs": [*[0.0] * begin, *(one.logprobs or ())],
            "truncated": not one.finished,
            "reward": one.reward,
            "scores": one.reward,
            "extra_logs": {},
        }
