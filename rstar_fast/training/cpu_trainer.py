"""TRL's trainer with a loss for CPUs, where TRL's own takes the head over prompts too, twice, and measures entropies."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from trl.trainer.sft_trainer import SFTTrainer

IGNORED = -100


class CpuSFTTrainer(SFTTrainer):
    """The same loss, from the logits of those positions alone at which some row of the batch has something to learn."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Sum over what is to be learnt, by the number of such tokens in the whole step.

        Args:
            model: as wrapped for training.
            inputs: `input_ids`, `attention_mask` and `labels`, int64 [rows, length].
            return_outputs: not looked at: nothing is evaluated.
            num_items_in_batch: tokens to be learnt in the step, over all its forwards and processes.
        """
        labels = inputs["labels"][:, 1:]
        told = labels != IGNORED
        positions = told.any(0).nonzero().squeeze(1)
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=positions,
        ).logits
        told, labels = told[:, positions], labels[:, positions]
        loss = functional.cross_entropy(logits[told].float(), labels[told], reduction="sum")
        # Gradients are averaged over processes.
        mean: Tensor = loss * self.accelerator.num_processes / num_items_in_batch
        return mean
