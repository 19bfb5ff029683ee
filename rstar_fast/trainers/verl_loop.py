"""An agent loop of `verl` whose rollout is a search."""

from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
    register,
)
from verl.trainer.ppo.core_algos import register_adv_est

from rstar_fast.config import SearchConfig
from rstar_fast.problems import Problem
from rstar_fast.rewards import accepted_answers, text_of
from rstar_fast.trainers.one_tree import check_options, solutions, weighted_advantages, without_ppm
from rstar_fast.trainers.token_policy import TokenPolicy, Written
from rstar_fast.training_samples import Credit, Sample

NAME = "rstar_tree"


class TreeOutput(AgentLoopOutput):
    """A solution of a tree, with scores of its own.

    verl's trainer copies the reward of the last output of a loop to the others. These scores stay.

    Attributes:
        token_scores: Score of each response token.
    """

    token_scores: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Return what the trainer keeps."""
        output: dict[str, Any] = super().as_dict()
        output["rm_scores"] = torch.tensor(output.pop("token_scores"), dtype=torch.float32)
        return output


@register(NAME)
class TreeAgentLoop(AgentLoopBase):
    """A search for each prompt, over verl's own servers. Its solutions are the outputs.

    The question is the last message of `raw_prompt`, and the accepted answer
    `reward_model["ground_truth"]`. Each of the n rollouts of a prompt is a tree. It needs verl's
    trainer V1, which takes several outputs of a loop.

    Args:
        search: Options of the search, as of `SearchConfig`. Temperature, `top_p` and `top_k` are
            those of verl's rollouts.
        leaves: Largest number of solutions of a tree.
        credit: Rule of the advantages of the steps, which the advantage estimator "rstar_tree"
            takes as they are. None for the reward at the last token, for any other estimator.
        options: What verl gives to each loop.

    Raises:
        ConfigError: An option is wrong, or the search needs a PPM.
    """

    def __init__(
        self,
        *args: Any,
        search: dict[str, Any] | None = None,
        leaves: int = 8,
        credit: Credit | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._search = without_ppm(SearchConfig.from_dict(dict(search or {})))
        check_options(leaves, credit or "outcome")
        self._leaves = leaves
        self._credit = credit

    async def run(self, sampling_params: dict[str, Any], **fields: Any) -> list[TreeOutput]:
        """Search a prompt, and return its solutions.

        Solutions that are longer than verl's `response_length` are left out.

        Raises:
            SearchError: The search failed.
        """

        async def write(key: str, prompt_ids: list[int], sampling: dict[str, Any]) -> Written:
            # Only verl's vLLM servers take a seed.
            if self.rollout_config.name != "vllm":
                del sampling["seed"]
            output = await self.server_manager.generate(
                key, prompt_ids=prompt_ids, sampling_params={**sampling_params, **sampling}
            )
            version = output.extra_fields.get("global_steps") or 0
            return Written(output.token_ids, output.log_probs or (), version)

        config = self._search.with_changes(
            temperature=sampling_params["temperature"],
            top_p=sampling_params["top_p"],
            top_k=max(sampling_params["top_k"], 0),
        )
        policy = TokenPolicy(write, self.tokenizer, config.prompt, "verl's server")
        rule = self._credit or "outcome"
        every = await solutions(policy, config, self._problem(fields), self._leaves, rule)
        found = [
            one
            for one in every
            if len(one.completion_ids) <= self.rollout_config.response_length
            and len(one.prompt_ids) <= self.rollout_config.prompt_length
        ]
        outputs = list(map(self._output, found, weighted_advantages(found)))
        if outputs:
            # verl's trainer asks the last output for it.
            outputs[-1].extra_fields.setdefault("reward_extra_info", {})
        return outputs

    def _problem(self, fields: dict[str, Any]) -> Problem:
        answers = accepted_answers(fields["reward_model"]["ground_truth"])
        question = text_of(list(fields["raw_prompt"]))
        # Each step of the training and each rollout draws anew.
        step, session = int(fields.get("global_steps", 0)), int(fields.get("session_id", 0))
        copy = step * int(self.rollout_config.n) + session
        return Problem(str(fields.get("uid", fields.get("index", 0))), question, answers, copy)

    def _output(self, one: Sample, advantages: list[float]) -> TreeOutput:
        scores = advantages
        if self._credit is None:
            scores = [*[0.0] * (len(one.completion_ids) - 1), one.reward]
        versions = [version for version in one.versions if version >= 0]
        return TreeOutput(
            prompt_ids=list(one.prompt_ids),
            response_ids=list(one.completion_ids),
            response_mask=list(one.mask),
            response_logprobs=None if one.logprobs is None else list(one.logprobs),
            reward_score=one.reward,
            num_turns=2,
            metrics=AgentLoopMetrics(),
            extra_fields={
                "min_global_steps": min(versions, default=None),
                "max_global_steps": max(versions, default=None),
            },
            token_scores=scores,
        )


@register_adv_est(NAME)
def tree_advantages(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores of the tokens as their advantages. For `TreeAgentLoop` with a credit."""
    advantages = token_level_rewards * response_mask
    return advantages, advantages
