"""The search of one problem inside the event loop of a trainer, as samples."""

import atexit
from contextlib import ExitStack
from functools import cache
from typing import Any, get_args

from rstar_fast.checks import check_choice, check_integer
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.searcher import step_runner
from rstar_fast.trainers.token_policy import TokenPolicy
from rstar_fast.training_samples import Credit, Sample, TreeValues, choose_leaves, samples
from rstar_fast.verify import MathVerifier


async def solutions(
    policy: TokenPolicy,
    config: SearchConfig,
    problem: Problem,
    leaves: int = 8,
    credit: Credit = "siblings",
) -> list[Sample]:
    """Search a problem, and return some of its solutions. Finished ones have the end of a text.

    Programs and grades run in workers that all searches of this process share.

    Args:
        policy: Policy over the trainer's engine.
        config: Configuration of the search, without a PPM.
        problem: Problem with accepted answers.
        leaves: Largest number of solutions, >= 1.
        credit: Rule by which the steps share the reward.

    Returns:
        The solutions. There are none if no leaf of the tree is graded.

    Raises:
        ConfigError: The search needs a PPM, or an option is wrong.
        SearchError: The search failed.
    """
    check_options(leaves, credit)
    with Searcher(policy, without_ppm(config), **shared_workers(config)) as searcher:
        async for ended in searcher.asearch([problem]):
            if isinstance(ended, Failure):
                raise SearchError(ended.summary)
            chosen = list(TreeValues.of(ended).rewards)
            if len(chosen) > leaves:
                chosen = choose_leaves(ended, leaves)
            return samples(ended, policy.prefix, chosen, credit, end="eos")
    raise SearchError(f"problem {problem.key!r}: the search was ended")


async def at_least_one(
    policy: TokenPolicy,
    config: SearchConfig,
    problem: Problem,
    leaves: int = 8,
    credit: Credit = "siblings",
) -> list[Sample]:
    """Return `solutions`, or an empty completion where there are none.

    It is for trainers that need something of every prompt. The completion is the end of a text with
    mask 0, without reward.
    """
    found = await solutions(policy, config, problem, leaves, credit)
    if found:
        return found
    end = policy.prefix.eos_id
    # Without one, `solutions` has raised.
    assert end is not None
    empty = Sample(
        prompt_ids=tuple(policy.prefix.of_prompt(problem.question)),
        completion_ids=(end,),
        logprobs=(0.0,),
        mask=(0,),
        advantages=(0.0,),
        versions=(-1,),
        reward=0.0,
        share=1.0,
        finished=False,
        leaf=0,
        branches_from=None,
    )
    return [empty]


def check_options(leaves: int, credit: str) -> None:
    """Raise an error unless the options of `solutions` are right."""
    check_integer("leaves", leaves, low=1)
    check_choice("credit", credit, get_args(Credit))


def without_ppm(config: SearchConfig) -> SearchConfig:
    """Return the configuration of a rollout's search.

    Raises:
        ConfigError: The search needs a PPM.
    """
    if config.use_scores:
        raise ConfigError("use_scores: expected False, as rollouts have no PPM")
    return config


def shared_workers(config: SearchConfig) -> dict[str, Any]:
    """Return the runner and the verifier of all searches of this process with such limits."""
    limits = (config.wall_limit_s, config.memory_limit_mb, config.observation)
    return _workers(config.grade_limit_s, *limits)


def weighted_advantages(found: list[Sample]) -> list[list[float]]:
    """Return the advantages of each sample's tokens for a trainer that counts samples as equals."""
    total = sum(one.share for one in found)
    return [[one.share / total * len(found) * value for value in one.advantages] for one in found]


@cache
def _workers(
    grade_limit_s: float, wall_s: float, memory_mb: int, observation: Any
) -> dict[str, Any]:
    config = SearchConfig(wall_limit_s=wall_s, memory_limit_mb=memory_mb, observation=observation)
    # The workers live as long as the process.
    stack = ExitStack()
    atexit.register(stack.close)
    runner = stack.enter_context(step_runner(config))
    verifier = MathVerifier(limit_s=grade_limit_s)
    stack.callback(verifier.close)
    return {"runner": runner, "verifier": verifier}
