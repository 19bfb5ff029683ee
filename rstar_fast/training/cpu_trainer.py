"""TRL's trainer with a loss that is cheap enough for a CPU.

TRL's own loss computes the output head over the prompts too, computes it twice, and measures
entropies.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from trl.trainer.sft_trainer import SFTTrainer

from rstar_fast.training.trainer import IGNORED


class CpuSFTTrainer(SFTTrainer):
    """Trainer with TRL's loss, but with logits only where some row of the batch learns a token."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Return the summed loss of a batch, divided by the number of learnt tokens of the step.

        Args:
            model: Model as the trainer wrapped it.
            inputs: Tensors `input_ids`, `attention_mask` and `labels`, int64 [rows, length].
            return_outputs: Ignored, as nothing is evaluated.
            num_items_in_batch: Number of learnt tokens in the optimizer step, over all its forward
                passes and processes.
        """
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORED
        positions = learnt.any(0).nonzero().squeeze(1)
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=positions,
        ).logits
        learnt, labels = learnt[:, positions], labels[:, positions]
        loss = functional.cross_entropy(logits[learnt].float(), labels[learnt], reduction="sum")
        # Gradients are averaged over processes.
        mean: Tensor = loss * self.accelerator.num_processes / num_items_in_batch
        return mean
