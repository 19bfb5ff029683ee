"""A trainer of `transformers` whose batches are packed trees."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer

from rstar_fast._core import Pack
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.training.objectives import Objective, objective_loss, total_weight
from rstar_fast.training.token_trees import PackedTrees, TokenTree, pack_trees

Step = list[list[TokenTree]]
"""Trees of one optimizer step, by forward pass."""


class PPMTrainer(Trainer):
    """Trainer that takes one optimizer step per item of its data.

    A step takes as many forward passes as its trees need.
    """

    def __init__(
        self,
        ppm: PPM,
        steps: Sequence[Step],
        objective: Objective,
        likelihood: float,
        **options: Any,
    ) -> None:
        """Make a trainer.

        Args:
            ppm: PPM to train. Changed by the training.
            steps: Trees of every optimizer step, in the order of training.
            objective: Name of the loss.
            likelihood: Weight of a path's log-probability, see `objective_loss`.
            options: Further arguments of `transformers.Trainer`.
        """
        self._steps = _Steps(steps)
        super().__init__(
            model=_Values(ppm), train_dataset=self._steps, data_collator=_collate, **options
        )
        self._objective: Objective = objective
        self._likelihood = likelihood
        self._bias = ppm.bias
        weights = [total_weight(tree) for step in steps for trees in step for tree in trees]
        self._step_weight = sum(weights) / max(1, len(steps))

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Do the forward and backward passes of one optimizer step. Return its loss.

        The loss is divided by the mean weight of all steps. A step that a problem with many pairs
        fills alone then weighs no more than that problem's pairs do elsewhere.
        """
        model.train()
        batch: list[PackedTrees] = inputs["batch"]
        total = torch.zeros((), device=self.args.device)
        for trees in batch:
            with self.compute_loss_context_manager():
                values = model(trees.packed) + self._bias
                loss = objective_loss(values, trees, self._objective, self._likelihood)
                loss = loss / self._step_weight
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
        # The steps are in the order of training already.
        return torch.utils.data.SequentialSampler(self._steps)


class _Steps(Dataset[Step]):
    """The optimizer steps as a data set."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> Step:
        return self._steps[index]


def _collate(steps: Sequence[Step]) -> dict[str, list[PackedTrees]]:
    return {"batch": [pack_trees(trees) for step in steps for trees in step]}


class _Values(nn.Module):
    """The PPM as a module that a trainer can wrap. Its forward pass takes packed trees."""

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
