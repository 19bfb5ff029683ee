"""Training a PPM on packed trees by `transformers.Trainer`, and by the same trainer the models it is compared with."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from rstar_fast._core import Pack
from rstar_fast.data.rows import group_of_row
from rstar_fast.errors import ConfigError, DataError, TrainError
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.texts import Texts
from rstar_fast.training.config import TrainConfig, num_devices
from rstar_fast.training.master_adamw import MasterAdamW, to_bfloat16
from rstar_fast.training.objectives import SCALES, num_groups, objective_loss
from rstar_fast.training.saving import saving
from rstar_fast.training.token_trees import (
    Objective,
    PackedTrees,
    TokenTree,
    micro_batches,
    pack_trees,
    pair_trees,
    target_trees,
)
from rstar_fast.training.trainer import common_arguments, run_training

Batch = list[PackedTrees]


@dataclass(frozen=True, slots=True)
class PPMReport:
    """How a training went.

    Attributes:
        problems: whose trees were learnt from.
        examples: pairs (ppm), trajectories (orm) or steps (pqm).
        too_long: examples (orm and pqm: trajectories) left out, being longer than `max_length`.
        tokens: encoded, over all epochs: every token of a tree once.
        steps: of the optimizer.
        loss: mean over the training.
        seconds: of training, without loading and saving.
    """

    problems: int
    examples: int
    too_long: int
    tokens: int
    steps: int
    loss: float
    seconds: float


def train_ppm(
    policy: str | Path,
    rows: Sequence[dict[str, Any]],
    out: str | Path,
    config: TrainConfig,
    objective: Objective = "ppm",
    report_to: Sequence[str] = (),
) -> PPMReport:
    """Train a PPM from a policy's weights and a new head, and write its folder, which `PPM.from_pretrained` reads.

    The same arguments give the same weights on the same machine. Under `accelerate launch` every process calls this.

    Args:
        policy: folder or hub name of the round's policy.
        rows: for "ppm" those of `pair_group_row`; for "orm" and "pqm" those of `trajectory_rows`.
        out: the folder, written at the end.
        config: see `TrainConfig`; a `batch_size` counts pairs, trajectories or steps.
        objective: "ppm" (preference pairs), "orm" (outcome) or "pqm" (Q by regression).
        report_to: "tensorboard", "wandb", ...: whatever `transformers` reports to.

    Raises:
        ScoreError: the policy cannot be loaded, or its attention cannot be replaced.
        DataError: rows of another kind.
        StoreError: the disk refuses.
        TrainError: nothing is short enough, or the loss is not finite.
    """
    if objective not in SCALES:
        raise ConfigError(f"objective: expected one of {', '.join(SCALES)}, got {objective!r}")
    if config.precision == "mixed" or config.lora_rank:
        raise ConfigError("training a PPM takes precision float32 or bfloat16, and no lora_rank")
    torch.manual_seed(config.seed)
    ppm = PPM.from_policy(policy, dtype=torch.float32, seed=config.seed, scale=SCALES[objective])
    ppm.model.config.ppm_likelihood = config.likelihood
    texts = Texts(ppm, config.max_length)
    trees, too_long = _trees(rows, texts, objective)
    if not trees:
        raise TrainError(
            f"expected texts of at most {config.max_length} tokens (max_length), got none among {len(rows)} rows"
        )
    optimizers: Any = (None, None)
    if config.precision == "bfloat16":
        to_bfloat16(ppm.model)
        optimizers = (MasterAdamW(ppm.model, config.learning_rate, config.weight_decay), None)
    batch_size = max(1, config.batch_size // num_devices())
    batches = [
        batch
        for epoch in range(config.epochs)
        for batch in _epoch(trees, config, batch_size, epoch)
    ]
    trainer = _PPMTrainer(
        objective,
        config.likelihood,
        _Batches(batches),
        model=_Values(ppm),
        args=_arguments(config, out, report_to),
        data_collator=_collate,
        optimizers=optimizers,
    )
    steps, loss, seconds = run_training(trainer, policy, config.learning_rate)
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
) -> Iterator[list[list[TokenTree]]]:
    """One pass over the data, shuffled by problem: for each optimizer step the trees of its forwards."""
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


class _Batches(Dataset[list[list[TokenTree]]]):
    """The optimizer steps of all epochs, in order."""

    def __init__(self, batches: Sequence[list[list[TokenTree]]]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> list[list[TokenTree]]:
        return self._batches[index]


def _collate(items: Sequence[list[list[TokenTree]]]) -> dict[str, Batch]:
    return {"batch": [pack_trees(trees) for item in items for trees in item]}


class _Values(nn.Module):
    """The PPM as a module whose forward goes over packed trees: what a trainer can wrap."""

    def __init__(self, ppm: PPM) -> None:
        super().__init__()
        self.model = ppm.model
        self._packed = PackedModel(ppm)

    def forward(self, packed: Pack) -> Tensor:
        return self._packed.values(packed)

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None
    ) -> None:
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs)


class _PPMTrainer(Trainer):
    """An optimizer step is one item of the data: as many forwards as its trees need."""

    def __init__(
        self, objective: Objective, likelihood: float, batches: _Batches, **options: Any
    ) -> None:
        super().__init__(train_dataset=batches, **options)
        self._objective: Objective = objective
        self._likelihood = likelihood
        self._batches = batches

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Forward and backward of one optimizer step; its mean loss."""
        model.train()
        batch: Batch = inputs["batch"]
        count = sum(map(num_groups, batch))
        total = torch.zeros((), device=self.args.device)
        for trees in batch:
            with self.compute_loss_context_manager():
                loss = (
                    objective_loss(model(trees.packed), trees, self._objective, self._likelihood)
                    / count
                )
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
        # The order is in the data.
        return torch.utils.data.SequentialSampler(self._batches)


def _arguments(config: TrainConfig, out: str | Path, report_to: Sequence[str]) -> TrainingArguments:
    return TrainingArguments(
        num_train_epochs=1,
        per_device_train_batch_size=1,
        remove_unused_columns=False,
        **common_arguments(config, out, report_to),
    )
