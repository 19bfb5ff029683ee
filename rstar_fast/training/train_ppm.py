"""Training of a PPM, and of the two models it is compared with, on packed trees."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from rstar_fast.checks import check_choice
from rstar_fast.data import group_of_row
from rstar_fast.errors import ConfigError, DataError, TrainError
from rstar_fast.ppm.loading import read_check_head
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.spec import ScoreSpec
from rstar_fast.ppm.texts import Texts
from rstar_fast.training.config import FITTED, TrainConfig, num_devices
from rstar_fast.training.examples import pair_trees, target_trees
from rstar_fast.training.fitting import FittedWeights, fit_likelihood
from rstar_fast.training.master_adamw import MasterAdamW, to_bfloat16
from rstar_fast.training.objectives import SCALES, Objective
from rstar_fast.training.ppm_trainer import PPMTrainer, Step
from rstar_fast.training.saving import saving
from rstar_fast.training.token_trees import TokenTree, micro_batches
from rstar_fast.training.trainer import common_arguments, run_training


@dataclass(frozen=True, slots=True)
class PPMReport:
    """Counts and times of a training.

    Attributes:
        problems: Number of problems whose trees were learnt.
        examples: Number of pairs (ppm), trajectories (orm) or steps (pqm).
        too_long: Number of pairs (ppm) or trajectories (orm, pqm) that were left out because they
            are longer than `max_length`.
        tokens: Number of tokens encoded over all epochs. An epoch encodes every token of a tree
            once.
        steps: Number of optimizer steps.
        loss: Mean loss over the training.
        seconds: Seconds of training, without loading and saving.
        head: Head that the training started from: "check head" (of the base) or "random".
        head_weight: Fitted weight of the head, which is in its weights already. 1 if not fitted.
        likelihood: Weight of the policy's log-probability in the PPM's value.
        fitted_pairs: Number of pairs that both weights were fitted on.
    """

    problems: int
    examples: int
    too_long: int
    tokens: int
    steps: int
    loss: float
    seconds: float
    head: str
    head_weight: float
    likelihood: float
    fitted_pairs: int


def train_ppm(
    policy: str | Path,
    rows: Sequence[dict[str, Any]],
    out: str | Path,
    config: TrainConfig,
    objective: Objective = "ppm",
    report_to: Sequence[str] = (),
    *,
    fit_rows: Sequence[dict[str, Any]] | None = None,
    check_head_of: str | Path | None = None,
) -> PPMReport:
    """Train a PPM from a policy's weights, and write its folder.

    The head starts from the check head of a base model where there is one, else at random.

    `PPM.from_pretrained` reads the folder. The same arguments give the same weights on the same
    machine. Under `accelerate launch` every process calls this.

    Args:
        policy: Folder or hub name of the policy that the training starts from.
        rows: Rows of `pair_group_row` for "ppm", rows of `trajectory_rows` for "orm" and "pqm".
        out: Folder to write. It is written at the end.
        config: How to train. `batch_size` counts pairs, trajectories or steps.
        objective: "ppm" (preference pairs), "orm" (outcome) or "pqm" (Q by regression).
        report_to: Names of the services that losses are sent to, as `transformers` knows them:
            "tensorboard", "wandb", ...
        fit_rows: Rows of `pair_group_row` that `likelihood = "fitted"` fits the weights on, of
            problems that nothing was trained on: those of steps, or for "orm" those of
            trajectories. None or no rows leave them at 1.
        check_head_of: Folder or hub name of the base model that may have a check head
            (`CHECK_HEAD`). None for that of `policy`.

    Raises:
        ConfigError: The objective is unknown, or the configuration is for policies only.
        DataError: The rows are of another kind, or there are none.
        ScoreError: The policy cannot be loaded, or its attention cannot be replaced.
        StoreError: The folder cannot be written.
        TrainError: No text is short enough, or the loss is not a number.
    """
    check_choice("objective", objective, tuple(SCALES))
    if config.precision == "mixed" or config.lora_rank:
        raise ConfigError(
            "training a PPM: expected precision float32 or bfloat16 and lora_rank 0, "
            f"got {config.precision} and {config.lora_rank}"
        )
    torch.manual_seed(config.seed)
    head = read_check_head(str(policy if check_head_of is None else check_head_of))
    ppm = PPM.from_policy(
        policy,
        dtype=torch.float32,
        seed=config.seed,
        scale=SCALES[objective],
        head=head,
        spec=ScoreSpec(observations=config.observations),
    )
    ppm.model.config.ppm_likelihood = config.learnt_likelihood
    texts = Texts(ppm, config.max_length)
    trees, too_long = _trees(rows, texts, objective)
    if not trees:
        raise TrainError(
            f"expected texts of at most {config.max_length} tokens (max_length), "
            f"got none among {len(rows)} rows"
        )
    optimizers: Any = (None, None)
    if config.precision == "bfloat16":
        to_bfloat16(ppm.model)
        optimizers = (MasterAdamW(ppm.model, config.learning_rate, config.weight_decay), None)
    batch_size = max(1, config.batch_size // num_devices())
    epochs = (_epoch(trees, config, batch_size, epoch) for epoch in range(config.epochs))
    trainer = PPMTrainer(
        ppm,
        [step for epoch in epochs for step in epoch],
        objective,
        config.learnt_likelihood,
        args=_arguments(config, out, report_to),
        optimizers=optimizers,
    )
    steps, loss, seconds = run_training(trainer, policy, config.learning_rate)
    ppm.model.eval()
    weights = FittedWeights(1.0, config.learnt_likelihood, 0)
    if config.likelihood == FITTED:
        groups = map(group_of_row, fit_rows or ())
        # A search compares siblings by a PPM. An ORM judges whole solutions.
        kind = "trajectory" if objective == "orm" else "step"
        weights = fit_likelihood(ppm, [group for group in groups if group.kind == kind])
    if trainer.is_world_process_zero():
        with saving(out):
            ppm.save_pretrained(out)
    return PPMReport(
        problems=len(trees),
        examples=sum(tree.num_examples for tree in trees),
        too_long=too_long,
        tokens=config.epochs * sum(tree.num_tokens for tree in trees),
        steps=steps,
        loss=loss,
        seconds=seconds,
        head="check head" if head else "random",
        head_weight=weights.head,
        likelihood=weights.likelihood,
        fitted_pairs=weights.pairs,
    )


def _trees(
    rows: Sequence[dict[str, Any]], texts: Texts, objective: Objective
) -> tuple[list[TokenTree], int]:
    if not rows:
        raise DataError(f"expected rows to train on ({objective}), got none")
    if objective == "ppm":
        return pair_trees(map(group_of_row, rows), texts)
    return target_trees(rows, texts, objective)


def _epoch(
    trees: Sequence[TokenTree], config: TrainConfig, batch_size: int, epoch: int
) -> Iterator[Step]:
    """Yield the optimizer steps of one pass over the data. Problems are shuffled by the seed."""
    order = list(trees)
    random.Random(f"{config.seed} {epoch}").shuffle(order)
    step: list[TokenTree] = []
    num_examples = 0
    for tree in order:
        step.append(tree)
        num_examples += tree.num_examples
        if num_examples >= batch_size:
            yield list(micro_batches(step, config.micro_batch_tokens))
            step, num_examples = [], 0
    if step:
        yield list(micro_batches(step, config.micro_batch_tokens))


def _arguments(config: TrainConfig, out: str | Path, report_to: Sequence[str]) -> TrainingArguments:
    return TrainingArguments(
        num_train_epochs=1,
        per_device_train_batch_size=1,
        remove_unused_columns=False,
        **common_arguments(config, out, report_to),
    )
