"""Does GRPO learn more from trees than from independent solutions of the same number of tokens?

    python -m recipes.grpo [--train SOURCE] [--held-out SOURCE] [--steps N] [--prompts N]
        [--seeds N] [--tokens N] [--rate X]

The embedded policy is trained on problems of one source, from the same weights in every run, by
three kinds of rollouts with the same limit of generated tokens for each prompt:

    chains, group       independent solutions, TRL's own advantages
    chains, siblings    the same, with the leave-one-out baseline
    trees, siblings     a search by UCT on the outcomes, with credit by the step

Held-out accuracy is the share of right solutions, sampled one by one at temperature 1, before and
after. Differences have 95% intervals that resample seeds and held-out problems. The last line is
one JSON document.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from trl import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.evaluate import pooled
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import TransformersPolicy
from rstar_fast.policy.loading import load
from rstar_fast.problems import Problem, read_problems
from rstar_fast.search import Searcher
from rstar_fast.training.tree_grpo import TreeGRPOTrainer, TreeRollouts
from rstar_fast.tree import Tree

GENERATIONS = 8
CHAINS = SearchConfig(
    strategy="best_of_n",
    candidates=GENERATIONS,
    max_depth=12,
    temperature=1.0,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)
TREES = SearchConfig(
    candidates=4,
    rollouts=64,
    max_depth=12,
    temperature=1.0,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)


class Kind(NamedTuple):
    """A kind of rollouts."""

    name: str
    config: SearchConfig
    by_step: bool


KINDS = (
    Kind("chains, group", CHAINS, False),
    Kind("chains, siblings", CHAINS, True),
    Kind("trees, siblings", TREES, True),
)


class Counting(TreeRollouts):
    """Rollouts that count the tokens that were generated."""

    tokens = 0

    def __call__(self, prompts: Any, trainer: Any) -> dict[str, Any]:
        """Count the tokens of the trees of a call."""
        columns = super().__call__(prompts, trainer)
        self.tokens += sum(tree.counts["generated_tokens"] for tree in self.trees)
        return columns


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=16, help="problems of a step")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", default="countdown:train:320:3-3", help="problems to train on")
    parser.add_argument("--held-out", default="countdown:held_out:250:3-3", help="and to measure")
    parser.add_argument("--tokens", type=int, default=600, help="limit for each prompt")
    parser.add_argument("--rate", type=float, default=5e-5, help="learning rate")
    args = parser.parse_args()
    torch.set_num_threads(1)
    held_out, train = list(read_problems(args.held_out)), list(read_problems(args.train))
    before = shares_right(fresh_policy(), held_out)
    print(
        f"before: {fmean(before):.3f} on {len(held_out)} held-out problems, 4 solutions each",
        flush=True,
    )
    rows = []
    for seed in range(args.seeds):
        for kind in KINDS:
            row = trained(kind, seed, train, args)
            row["after"] = shares_right(row.pop("model"), held_out)
            rows.append(row)
            print(
                f"seed {seed}  {kind.name:18} after {fmean(row['after']):.3f}  "
                f"rewards {row['first']:.3f} to {row['last']:.3f}  tokens {row['tokens']}  "
                f"{row['cpu_s']:.0f} CPU s",
                flush=True,
            )
    print_differences(rows, before)
    print(json.dumps({"before": before, "rows": rows}))


def print_differences(rows: Sequence[dict[str, Any]], before: list[float]) -> None:
    """Print how each kind differs from the start and from the kinds before it, in points.

    Args:
        rows: Kind and shares by the problem of each run, one seed after the other.
        before: Shares by the problem before training.
    """
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append(row["after"])
    for i, (kind, after) in enumerate(found.items()):
        print(f"{kind}: mean {fmean(map(fmean, after)):.3f}")
        others = {"before": [before] * len(after)} | dict(list(found.items())[:i])
        for other, shares in others.items():
            print(f"    less {other}: {pooled(after, shares)}")


def fresh_policy() -> Any:
    """Return the embedded policy."""
    return load(policy_path(), torch.float32, torch.device("cpu"))


def trained(kind: Kind, seed: int, problems: list[Problem], args: Any) -> dict[str, Any]:
    """Train a copy of the embedded policy, and return what was measured on the way."""
    model = fresh_policy()
    tokenizer = load_tokenizer(policy_path())
    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=args.prompts * GENERATIONS,
        num_generations=GENERATIONS,
        max_steps=args.steps,
        learning_rate=args.rate,
        lr_scheduler_type="constant",
        seed=seed,
        bf16=False,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    config = replace(kind.config, seed=seed, max_tokens=args.tokens)
    data = Dataset.from_list([{"prompt": problem.question} for problem in problems])
    began = time.process_time()
    with Counting(problems, tokenizer, config) as rollouts:
        options = {"args": arguments, "processing_class": tokenizer, "train_dataset": data}
        trainer = (
            TreeGRPOTrainer(model, rollouts, **options)
            if kind.by_step
            else GRPOTrainer(model, reward_funcs=rollouts.reward, rollout_func=rollouts, **options)
        )
        trainer.train()
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    return {
        "kind": kind.name,
        "seed": seed,
        "model": model,
        "tokens": rollouts.tokens,
        "first": fmean(rewards[:5]),
        "last": fmean(rewards[-5:]),
        "cpu_s": time.process_time() - began,
    }


def shares_right(model: Any, problems: list[Problem]) -> list[float]:
    """Return the share of right solutions of each problem, of four of them."""
    model.__dict__.pop("forward", None)
    policy = TransformersPolicy(model, load_tokenizer(policy_path()))
    config = replace(CHAINS, candidates=4, seed=7)
    with Searcher(policy, config) as searcher:
        trees = {one.problem.id: one for one in searcher.search(problems) if isinstance(one, Tree)}
    return [
        sum(bool(node.correct) for node in trees[one.id].finals()) / config.candidates
        for one in problems
    ]


if __name__ == "__main__":
    main()
