"""An agent loop of `verl` whose rollout is a search."""

from functools import cache
from typing import Any, get_args

import torch
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
    register,
)
from verl.trainer.ppo.core_algos import register_adv_est

from rstar_fast.checks import check_choice
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.searcher import step_runner
from rstar_fast.trainers.verl_policy import ManagerPolicy
from rstar_fast.training_samples import Credit, Sample, TreeValues, choose_leaves, samples
from rstar_fast.tree import Tree
from rstar_fast.verify import MathVerifier

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
        self._search = SearchConfig.from_dict(dict(search or {}))
        if self._search.use_scores:
            raise ConfigError("use_scores: expected False, as rollouts have no PPM")
        if credit is not None:
            check_choice("credit", credit, get_args(Credit))
        self._leaves = leaves
        self._credit = credit

    async def run(self, sampling_params: dict[str, Any], **fields: Any) -> list[TreeOutput]:
        """Search a prompt, and return its solutions.

        Solutions that are longer than verl's `response_length` are left out.

        Raises:
            SearchError: The search failed.
        """
        config = self._search.with_changes(
            temperature=sampling_params["temperature"],
            top_p=sampling_params["top_p"],
            top_k=max(sampling_params["top_k"], 0),
        )
        policy = ManagerPolicy(
            self.server_manager,
            self.tokenizer,
            config.prompt,
            sampling_params,
            seeded=self.rollout_config.name == "vllm",
        )
        searcher = Searcher(policy, config, **_workers(self._search))
        found: list[Sample] = []
        async for ended in searcher.asearch([self._problem(fields)]):
            if isinstance(ended, Failure):
                raise SearchError(ended.summary)
            found = self._samples(ended, policy)
        total = sum(one.share for one in found)
        outputs = [self._output(one, one.share / total * len(found)) for one in found]
        if outputs:
            # verl's trainer asks the last output for it.
            outputs[-1].extra_fields.setdefault("reward_extra_info", {})
        return outputs

    def _problem(self, fields: dict[str, Any]) -> Problem:
        truth = fields["reward_model"]["ground_truth"]
        answers = (truth,) if isinstance(truth, str) else tuple(map(str, truth))
        question = fields["raw_prompt"][-1]["content"]
        # Each step of the training and each rollout draws anew.
        step, session = int(fields.get("global_steps", 0)), int(fields.get("session_id", 0))
        copy = step * int(self.rollout_config.n) + session
        return Problem(str(fields.get("uid", fields.get("index", 0))), question, answers, copy)

    def _samples(self, tree: Tree, policy: ManagerPolicy) -> list[Sample]:
        leaves = list(TreeValues.of(tree).rewards)
        if len(leaves) > self._leaves:
            leaves = choose_leaves(tree, self._leaves)
        found = samples(tree, policy.prefix, leaves, self._credit or "outcome", end="eos")
        return [
            one
            for one in found
            if len(one.completion_ids) <= self.rollout_config.response_length
            and len(one.prompt_ids) <= self.rollout_config.prompt_length
        ]

    def _output(self, one: Sample, weight: float) -> TreeOutput:
        if self._credit is None:
            scores = [*[0.0] * (len(one.completion_ids) - 1), one.reward]
        else:
            scores = [weight * advantage for advantage in one.advantages]
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


@cache
def _workers(config: SearchConfig) -> dict[str, Any]:
    """Runner and verifier of all loops of this process."""
    runner = step_runner(config).__enter__()
    return {"runner": runner, "verifier": MathVerifier(limit_s=config.grade_limit_s)}
