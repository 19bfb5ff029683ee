"""TRL's DPOTrainer without the text that running the steps showed."""

from typing import Any

import torch

from rstar_fast.errors import TrainError
from rstar_fast.marks import END_OF_OUTPUT, OUTPUT
from rstar_fast.training.packages import require_packages

require_packages("preference training", "trl")

from trl.trainer.dpo_trainer import DataCollatorForPreference  # noqa: E402


class ObservationMask(DataCollatorForPreference):
    """A `data_collator` of TRL's DPOTrainer that counts no token of an observation.

    DPOTrainer itself takes every token behind the prompt for one that the policy wrote.

    Args:
        tokenizer: Tokenizer of the policy, which has the marks as tokens.
        args: Arguments of the trainer, a `DPOConfig`.

    Raises:
        TrainError: The tokenizer splits a mark of an observation.
    """

    def __init__(self, tokenizer: Any, args: Any) -> None:
        pad = tokenizer.pad_token_id
        super().__init__(
            pad_token_id=tokenizer.eos_token_id if pad is None else pad,
            max_length=args.max_length,
            truncation_mode=args.truncation_mode,
            pad_to_multiple_of=args.pad_to_multiple_of,
        )
        # Some tokenizers put a blank before a line break.
        self._line: int = tokenizer("\n", add_special_tokens=False).input_ids[-1]
        self._begin, self._end = (_token_id(tokenizer, mark) for mark in (OUTPUT, END_OF_OUTPUT))

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch as TRL's collator does, with observations out of `completion_mask`."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["completion_mask"][self._shown(batch["input_ids"])] = 0
        return batch

    def _shown(self, ids: torch.Tensor) -> torch.Tensor:
        """Return which tokens are of an observation, of its marks and the line break before it."""
        begins, ends = ids == self._begin, ids == self._end
        open_now = begins.long().cumsum(1) - ends.long().cumsum(1)
        # A sequence whose beginning was cut off may begin in an observation.
        open_now -= open_now.min(dim=1, keepdim=True).values.clamp(max=0)
        before = torch.zeros_like(begins)
        before[:, :-1] = begins[:, 1:]
        return (open_now > 0) | ends | (before & (ids == self._line))


def _token_id(tokenizer: Any, mark: str) -> int:
    ids = tokenizer(mark, add_special_tokens=False).input_ids
    if len(ids) != 1:
        raise TrainError(
            f"expected a tokenizer with {mark!r} as one token, got {len(ids)}; "
            "`train_policy` adds the marks of this package"
        )
    return int(ids[0])
