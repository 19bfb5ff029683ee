"""Trees in slime: `--custom-generate-function-path slime_rollout.generate`.

Each sample of a prompt becomes a tree, and a tree its solutions.
"""

from copy import copy
from typing import Any

from slime.rollout.sglang_rollout import GenerateState, post
from slime.utils.types import Sample

from rstar_fast import Problem, SearchConfig
from rstar_fast.rewards import accepted_answers
from rstar_fast.trainers.one_tree import at_least_one
from rstar_fast.trainers.token_policy import TokenPolicy, Written

CONFIG = SearchConfig(use_scores=False, annotate_terminals_with_ground_truth=True, temperature=1.0)


async def generate(args: Any, sample: Sample, sampling_params: dict[str, Any]) -> list[Sample]:
    tokenizer = GenerateState(args).tokenizer
    url = f"http://{args.sglang_router_ip}:{args.sglang_router_port}/generate"

    async def write(key: str, ids: list[int], sampling: dict[str, Any]) -> Written:
        sampling["max_new_tokens"] = sampling.pop("max_tokens")
        sampling["sampling_seed"] = sampling.pop("seed")
        sampling = {**sampling_params, **sampling, "no_stop_trim": True}
        body = {"input_ids": ids, "sampling_params": sampling, "return_logprob": True}
        told = (await post(url, body))["meta_info"]["output_token_logprobs"]
        return Written([one[1] for one in told], [one[0] for one in told])

    question = sample.prompt if isinstance(sample.prompt, str) else sample.prompt[-1]["content"]
    answers = accepted_answers(sample.label)
    problem = Problem(str(sample.group_index), question, answers, copy=sample.index)
    policy = TokenPolicy(write, tokenizer, CONFIG.prompt, "slime's router")
    found = []
    for one in await at_least_one(policy, CONFIG, problem):
        row = copy(sample)
        row.tokens = [*one.prompt_ids, *one.completion_ids]
        row.response = tokenizer.decode(one.completion_ids)
        row.response_length = len(one.completion_ids)
        row.loss_mask, row.reward = list(one.mask), one.reward
        row.rollout_log_probs = list(one.logprobs or ())
        row.status = Sample.Status.COMPLETED if one.finished else Sample.Status.TRUNCATED
        row.rollout_id = sample.index if sample.rollout_id is None else sample.rollout_id
        found.append(row)
    return found
