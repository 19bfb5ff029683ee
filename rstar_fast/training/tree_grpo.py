"""TRL's GRPOTrainer over trees: completions are the leaves of a search of the model itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Self, get_args

import torch

from rstar_fast.checks import check_choice
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, ProblemError, TrainError
from rstar_fast.failure import Failure
from rstar_fast.policy import TransformersPolicy
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.training.packages import require_packages
from rstar_fast.training_samples import Credit, Sample, TreeValues, choose_leaves, samples
from rstar_fast.tree import Tree

require_packages("GRPO over trees", "trl")

from trl.trainer.grpo_trainer import GRPOTrainer  # noqa: E402


@dataclass(frozen=True, slots=True)
class _Row:
    """A completion for TRL, with the credit of each of its tokens. No reward leaves it out."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    mask: Sequence[int]
    advantages: Sequence[float]
    reward: float | None


class TreeRollouts:
    """A `rollout_func` of TRL's GRPOTrainer that searches with the model under training.

    Prompts come repeated, once for each generation. A run of n equal prompts is one search, and n
    of its leaves come back. Where a tree has fewer graded leaves, some of them come several times
    and share their weight. Where it has none, or the search failed, the completions are empty and
    have no reward, so that TRL leaves them out.

    A context manager, which stops the workers that run programs and grade answers.

    Args:
        problems: Problems of the training, with accepted answers. The prompts of the data set are
            their questions.
        tokenizer: Tokenizer of the model.
        config: Configuration of the search. Its temperature is that of TRL's arguments. The seed
            stays, and each search of a problem draws anew.
        credit: Rule by which the steps share the reward, for `TreeGRPOTrainer`.

    Attributes:
        trees: Trees of the last call.

    Raises:
        ConfigError: There is no such rule, or the search needs a PPM.
        ProblemError: Two problems have the same question, or one has no accepted answer.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        tokenizer: Any,
        config: SearchConfig,
        credit: Credit = "siblings",
    ) -> None:
        check_choice("credit", credit, get_args(Credit))
        if config.use_scores:
            raise ConfigError("use_scores: expected False, as rollouts have no PPM")
        self._problems = {problem.question: problem for problem in problems}
        if len(self._problems) < len(problems):
            raise ProblemError("problems: expected a question of its own for each")
        for problem in problems:
            if not problem.answers:
                raise ProblemError(f"problem {problem.id!r}: expected an accepted answer, got none")
        self._tokenizer = tokenizer
        self._config = config
        self._credit = credit
        self._prefix = PrefixTokens(tokenizer, config.prompt)
        self._policy: TransformersPolicy
        self._searcher: Searcher | None = None
        self._num_searches = 0
        self._rows: list[_Row] = []
        self.trees: list[Tree] = []

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Return a completion for each prompt, with its reward, in TRL's form."""
        runs = [(prompt, len(list(run))) for prompt, run in groupby(prompts)]
        problems = [self._next_copy(prompt, trainer.accelerator) for prompt, _ in runs]
        ended = self._searched(problems, trainer)
        self._rows = [
            row
            for problem, (_, count) in zip(problems, runs, strict=True)
            for row in self._rows_of(ended[problem.key], problem, count)
        ]
        return {
            "prompt_ids": [list(row.prompt_ids) for row in self._rows],
            "completion_ids": [list(row.completion_ids) for row in self._rows],
            # TRL looks at them only with vLLM. The weights have not moved since the search.
            "logprobs": None,
            "env_mask": [list(row.mask) for row in self._rows],
            "tree_reward": [row.reward for row in self._rows],
        }

    def reward(self, tree_reward: list[float | None], **columns: Any) -> list[float | None]:
        """Return the rewards of the leaves. The reward function that goes with the rollouts."""
        return tree_reward

    def advantages(self, width: int) -> torch.Tensor:
        """Return the credit of each token of the last call, float32 [completions, width].

        Args:
            width: Number of tokens to which completions are filled up with 0.
        """
        found = torch.zeros(len(self._rows), width)
        for place, row in enumerate(self._rows):
            found[place, : len(row.advantages)] = torch.tensor(row.advantages)
        return found

    def close(self) -> None:
        """Stop the workers. May be called again."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_copy(self, prompt: Any, accelerator: Any) -> Problem:
        """Return the problem of a prompt as a copy that no process has searched before."""
        question = prompt[-1]["content"] if isinstance(prompt, list) else prompt
        if question not in self._problems:
            raise ProblemError(f"prompt {str(question)[:60]!r}: expected the question of a problem")
        copy = self._num_searches * accelerator.num_processes + accelerator.process_index
        self._num_searches += 1
        return replace(self._problems[question], copy=copy)

    def _searched(self, problems: list[Problem], trainer: Any) -> dict[str, Tree | Failure]:
        model = trainer.accelerator.unwrap_model(trainer.model)
        with _without_autocast(model):
            if self._searcher is None:
                if trainer.args.temperature != self._config.temperature:
                    raise ConfigError(
                        f"temperature: expected that of the search in TRL's arguments too, got "
                        f"{self._config.temperature} and {trainer.args.temperature}"
                    )
                self._policy = TransformersPolicy(
                    model, self._tokenizer, prompt=self._config.prompt
                )
                self._searcher = Searcher(self._policy, self._config)
            self._policy.update(trainer.state.global_step)
            ended = {one.problem.key: one for one in self._searcher.search(problems)}
        self.trees = [one for one in ended.values() if isinstance(one, Tree)]
        return ended

    def _rows_of(self, ended: Tree | Failure, problem: Problem, count: int) -> list[_Row]:
        found: list[Sample] = []
        if isinstance(ended, Tree):
            leaves = list(TreeValues.of(ended).rewards)
            if len(leaves) > count:
                leaves = choose_leaves(ended, count)
            found = samples(ended, self._prefix, leaves, self._credit, end="eos")
        if not found:
            end = self._prefix.eos_id
            if end is None:
                raise TrainError("expected a tokenizer with an end of a text")
            prompt = self._prefix.of_prompt(problem.question)
            return [_Row(prompt, [end], [0], [0.0], None)] * count
        total = sum(one.share for one in found)
        times = [len(range(i, count, len(found))) for i in range(len(found))]
        rows = []
        for i in range(count):
            one = found[i % len(found)]
            weight = one.share / total * count / times[i % len(found)]
            credit = [weight * value for value in one.advantages]
            rows.append(_Row(one.prompt_ids, one.completion_ids, one.mask, credit, one.reward))
        return rows


class TreeGRPOTrainer(GRPOTrainer):
    """TRL's GRPOTrainer with the credit of the steps in the place of the groups' advantages.

    Args:
        model: Model, as of GRPOTrainer.
        rollouts: Rollouts, which give completions, rewards and credit.
        options: Other arguments of GRPOTrainer. `reward_funcs` and `rollout_func` are set here.
    """

    def __init__(self, model: Any, rollouts: TreeRollouts, **options: Any) -> None:
        self._rollouts = rollouts
        super().__init__(model, reward_funcs=rollouts.reward, rollout_func=rollouts, **options)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        credit = self._rollouts.advantages(output["completion_ids"].shape[1])
        output["advantages"] = credit.to(output["advantages"])
        return output


@contextmanager
def _without_autocast(model: Any) -> Iterator[None]:
    """Take off the forward of a model that mixed precision has put over its own."""
    wrapped = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if wrapped is not None:
            model.__dict__["forward"] = wrapped
