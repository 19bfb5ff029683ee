"""An environment of `verifiers` whose rollout is a search."""

import asyncio
from functools import cached_property
from typing import Any

import verifiers.v1 as vf

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import ServerPolicy
from rstar_fast.policy.base import AsyncPolicy, Policy
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem, read_problems
from rstar_fast.rewards import compute_score_async
from rstar_fast.search import Searcher
from rstar_fast.trainers.one_tree import shared_workers, without_ppm
from rstar_fast.trainers.rollout_graph import StepCredit, fill


class SearchHarnessConfig(vf.HarnessConfig):
    """Options of a search as a harness.

    Attributes:
        search: Options of the search, as of `SearchConfig`.
        tokenizer: Folder or hub name of the policy's tokenizer.
        credit: Rule by which the steps of a rollout share the reward.
    """

    search: dict[str, Any] = {}  # noqa: RUF012
    tokenizer: str = ""
    credit: StepCredit = "siblings"


class SearchHarness(vf.Harness[SearchHarnessConfig]):
    """A harness whose rollout is the search of a task.

    It asks the model's server for steps itself, past the interception of `verifiers`, and puts the
    whole tree into the rollout: each solution is a branch. A task has its accepted answers in
    `answers`. Draws are keyed by the rollout's id, so that rollouts of a task differ.
    """

    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    @cached_property
    def search_config(self) -> SearchConfig:
        """Configuration of the search."""
        return without_ppm(SearchConfig.from_dict(self.config.search))

    @cached_property
    def prefix(self) -> PrefixTokens:
        """The way in which questions and paths are put to the policy."""
        return PrefixTokens(load_tokenizer(self.config.tokenizer), self.search_config.prompt)

    def policy(self, ctx: vf.ModelContext) -> Policy | AsyncPolicy:
        """Return the policy of a rollout: the completions of the model's server."""
        key = (ctx.client.base_url, ctx.model)
        if key not in self._policies:
            self._policies[key] = ServerPolicy(*key, tokenizer=self.config.tokenizer)
        return self._policies[key]

    @cached_property
    def _policies(self) -> dict[tuple[str, str], ServerPolicy]:
        return {}

    async def launch(
        self,
        ctx: vf.ModelContext,
        trace: vf.Trace[Any, Any, Any],
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> vf.ProgramResult:
        """Search the task, and put the tree into the rollout."""
        answers = getattr(data, "answers", None) or ()
        problem = Problem(trace.id, data.prompt_text, tuple(answers))
        policy = await asyncio.to_thread(self.policy, ctx)
        searcher = Searcher(policy, self.search_config, **shared_workers(self.search_config))
        async for ended in searcher.asearch([problem]):
            if isinstance(ended, Failure):
                raise vf.HarnessError(ended.summary)
            fill(trace, ended, self.prefix, self.config.credit, end="eos")
        return vf.ProgramResult(0, "", "")


class ProblemData(vf.TaskData):
    """A problem as a task.

    Attributes:
        answers: Accepted answers.
    """

    answers: tuple[str, ...] = ()


class ProblemTask(vf.Task[ProblemData]):
    """A problem that is graded as in `rewards`."""

    @vf.reward
    async def correct(self, trace: vf.Trace[Any, Any, Any]) -> float:
        """Return 1 for a right answer of the last reply, and 0 for a wrong one or none."""
        question = {"question": self.data.prompt_text}
        answers = list(self.data.answers)
        score = await compute_score_async("", trace.last_reply, answers, question)
        return score["score"]


class ProblemTasksetConfig(vf.TasksetConfig):
    """Options of a taskset of problems.

    Attributes:
        problems: Source of the problems: a file, or as in "graded:train:16".
    """

    problems: str = ""


class ProblemTaskset(vf.Taskset[ProblemTask, ProblemTasksetConfig]):
    """Problems of a source as tasks."""

    def load(self) -> Any:
        """Yield the tasks."""
        for problem in read_problems(self.config.problems):
            data = ProblemData(id=problem.key, prompt=problem.question, answers=problem.answers)
            yield ProblemTask(data, self.config.task)
