"""What TRL's DPOTrainer and RewardTrainer make of the pairs of trees.

    python -m recipes.preferences [--problems N] [--steps N] [--seeds N]

The embedded policy searches problems of its domain, guided by the outcomes alone. Then

- DPOTrainer trains a copy of it, on whole solutions with observations masked, on whole solutions as
  they are, and on steps, behind which TRL puts the end of a text;
- RewardTrainer trains a PPM from it, on steps and solutions by their token ids.

Measured are the share of right solutions of held-out problems, four of each at temperature 1, and
the share of each held-out problem's pairs that are in the right order. Differences have 95%
intervals that resample seeds and problems. The last line is one JSON document.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from recipes.grpo import TREES, fresh_policy, print_differences, shares_right
from rstar_fast.data import PairGroup, all_pair_groups, flat_pair_rows
from rstar_fast.embedded import policy_path
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import TransformersPolicy
from rstar_fast.ppm import PPM
from rstar_fast.problems import Problem, read_problems
from rstar_fast.search import Searcher
from rstar_fast.training.observation_mask import ObservationMask
from rstar_fast.training.pair_accuracy import pair_accuracy
from rstar_fast.training.reward_rows import reward_rows
from rstar_fast.tree import Tree

KINDS = ("solutions, masked", "solutions", "steps")
REWARD_MODEL = "reward model"


def main() -> None:
    """Search, train, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=16, help="of each difficulty")
    parser.add_argument("--rate", type=float, default=2e-5, help="learning rate of DPO")
    args = parser.parse_args()
    torch.set_num_threads(1)
    held_out = list(read_problems("graded:held_out:16"))
    groups = searched(list(read_problems(f"graded:train:{args.problems}")))
    measured = searched(held_out)
    before = shares_right(fresh_policy(), held_out)
    untrained = shares_in_order(PPM.from_policy(policy_path(), "cpu", "float32"), measured)
    print(
        f"{sum(len(one.pairs) for one in groups)} pairs of {len(groups)} groups; before: "
        f"{fmean(before):.3f} of {4 * len(held_out)} solutions right, {fmean(untrained):.3f} of "
        f"the pairs of {len(untrained)} held-out problems in order",
        flush=True,
    )
    policies: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        for kind in (*KINDS, REWARD_MODEL):
            began = time.process_time()
            if kind == REWARD_MODEL:
                ppm = reward_model(seed, groups, args)
                cpu_s = time.process_time() - began
                after, rows = shares_in_order(ppm, measured), models
            else:
                model = dpo(kind, seed, groups, args)
                cpu_s = time.process_time() - began
                after, rows = shares_right(model, held_out), policies
            rows.append({"kind": kind, "seed": seed, "after": after})
            print(f"seed {seed}  {kind:18} {fmean(after):.3f}  {cpu_s:.0f} CPU s", flush=True)
    print_differences(policies, before)
    print_differences(models, untrained)
    document = {"before": before, "in_order_before": untrained, "rows": policies + models}
    print(json.dumps(document))


def searched(problems: list[Problem]) -> list[PairGroup]:
    """Return the pairs of problems, searched by the embedded policy."""
    policy = TransformersPolicy(fresh_policy(), load_tokenizer(policy_path()))
    with Searcher(policy, TREES) as searcher:
        return all_pair_groups(one for one in searcher.search(problems) if isinstance(one, Tree))


def shares_in_order(ppm: PPM, groups: list[PairGroup]) -> list[float]:
    """Return the share of pairs in the right order, of each problem."""
    of_problems: defaultdict[str, list[PairGroup]] = defaultdict(list)
    for group in groups:
        of_problems[group.problem.key].append(group)
    return [pair_accuracy(ppm, found).accuracy for found in of_problems.values()]


def options(seed: int, args: Any, rate: float) -> dict[str, Any]:
    """Return the arguments of a trainer."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": 16,
        "max_steps": args.steps,
        "learning_rate": rate,
        "lr_scheduler_type": "constant",
        "seed": seed,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def dpo(kind: str, seed: int, groups: list[PairGroup], args: Any) -> Any:
    """Return a copy of the policy that was trained on pairs."""
    model, tokenizer = fresh_policy(), load_tokenizer(policy_path())
    arguments = DPOConfig(**options(seed, args, args.rate))
    of_steps = [group for group in groups if group.kind == "step"]
    rows = flat_pair_rows(groups) if kind != "steps" else flat_pair_rows(of_steps, steps=True)
    DPOTrainer(
        model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=ObservationMask(tokenizer, arguments) if "masked" in kind else None,
    ).train()
    return model


def reward_model(seed: int, groups: list[PairGroup], args: Any) -> PPM:
    """Return a PPM that TRL has trained from the policy."""
    ppm = PPM.from_policy(policy_path(), "cpu", "float32", seed=seed)
    RewardTrainer(
        ppm.model,
        args=RewardConfig(**options(seed, args, 1e-4)),
        train_dataset=Dataset.from_list(reward_rows(groups, ppm)),
        processing_class=ppm.tokenizer,
    ).train()
    ppm.model.eval()
    return ppm


if __name__ == "__main__":
    main()
