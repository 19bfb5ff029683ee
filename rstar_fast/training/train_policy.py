"""Supervised fine-tuning of a policy on the best trajectories by TRL (rStar-Math, section 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rstar_fast.errors import DataError, TrainError
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.policy.loading import load
from rstar_fast.training.config import TrainConfig, num_devices
from rstar_fast.training.marks import add_marks
from rstar_fast.training.master_adamw import MasterAdamW, to_bfloat16
from rstar_fast.training.packages import require_packages
from rstar_fast.training.saving import saving
from rstar_fast.training.trainer import IGNORED, common_arguments, run_training


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """Counts and times of a fine-tuning.

    Attributes:
        rows: Number of rows that were learnt.
        too_long: Number of rows that were left out because they are longer than `max_length`.
        tokens: Number of tokens of the rows, prompts included, over all epochs.
        steps: Number of optimizer steps.
        loss: Mean loss over the training, nats per token.
        seconds: Seconds of training, without loading and saving.
        new_marks: Marks that the base model had no token for.
    """

    rows: int
    too_long: int
    tokens: int
    steps: int
    loss: float
    seconds: float
    new_marks: tuple[str, ...]


def train_policy(
    base: str | Path,
    rows: Sequence[dict[str, Any]],
    out: str | Path,
    config: TrainConfig,
    report_to: Sequence[str] = (),
) -> PolicyReport:
    """Fine-tune a base model on completions and write an ordinary Hugging Face folder.

    Prompts are not learnt. The same arguments give the same weights on the same machine. Under
    `accelerate launch` every process calls this.

    Args:
        base: Folder or hub name of a causal language model. Marks that it has no token for become
            tokens of the trained model.
        rows: Rows with `prompt` and `completion`, as `sft_rows` makes them.
        out: Folder to write. It is written at the end.
        config: How to train.
        report_to: Names of the services that losses are sent to, as `transformers` knows them:
            "tensorboard", "wandb", ...

    Raises:
        DataError: A row has no prompt or no completion.
        PolicyError: The base model cannot be loaded.
        StoreError: The folder cannot be written.
        TrainError: A package is missing, no row is short enough, the loss is not a number, or the
            tokenizer has no end-of-text token.
    """
    adapters = ("peft",) if config.lora_rank else ()
    require_packages("training a policy", "datasets", "trl", *adapters)
    import trl

    torch.manual_seed(config.seed)
    model: Any = load(base, torch.float32, torch.device("cpu"))
    tokenizer: Any = load_tokenizer(base)
    if tokenizer.eos_token_id is None:
        raise TrainError(
            f"{base}: expected a tokenizer with an end-of-text token, got none: "
            "a policy must learn to stop"
        )
    new_marks = add_marks(model, tokenizer)
    data = [row for row in tokenized(tokenizer, rows) if len(row["input_ids"]) <= config.max_length]
    if not data:
        raise TrainError(
            f"expected rows of at most {config.max_length} tokens (max_length), "
            f"got none among {len(rows)}"
        )
    longest = max(len(row["input_ids"]) for row in data)
    micro_rows = max(1, min(config.batch_size, config.micro_batch_tokens // longest))
    arguments = _arguments(trl, config, out, micro_rows, report_to)
    optimizers: Any = (None, None)
    if config.precision == "bfloat16":
        to_bfloat16(model)
    if config.lora_rank:
        model = _adapted(model, tokenizer, config.lora_rank, new_marks)
    if config.precision == "bfloat16":
        if torch.cuda.is_available():
            # The optimizer copies the weights where they are, so they must be there already.
            model = model.to(torch.device("cuda", torch.cuda.current_device()))
        else:
            # On short rows in bfloat16 a CPU's fused attention takes longer than plain products.
            model.set_attn_implementation("eager")
        optimizers = (MasterAdamW(model, config.learning_rate, config.weight_decay), None)
    trainer = _trainer_class(trl)(
        model=model,
        args=arguments,
        train_dataset=_dataset(data),
        processing_class=tokenizer,
        optimizers=optimizers,
    )
    steps, loss, seconds = run_training(trainer, base, config.learning_rate)
    _save(trainer, tokenizer, Path(out), config)
    return PolicyReport(
        rows=len(data),
        too_long=len(rows) - len(data),
        tokens=config.epochs * sum(len(row["input_ids"]) for row in data),
        steps=steps,
        loss=loss,
        seconds=seconds,
        new_marks=tuple(new_marks),
    )


def tokenized(tokenizer: Any, rows: Sequence[dict[str, Any]]) -> list[dict[str, list[int]]]:
    """Return the tokens of rows, as `input_ids` and `labels`.

    A row is its prompt, its completion and an end of text. The labels of a prompt are `IGNORED`.
    Prompt and completion are tokenized apart, as in a search, where the policy continues the
    prompt's own tokens. What is no mark in a search is none here, see `TextTokens`.

    Args:
        tokenizer: Tokenizer with an end-of-text token.
        rows: Rows with `prompt` and `completion`.

    Raises:
        DataError: A row has no prompt or no completion.
    """
    for row in rows:
        if not {"prompt", "completion"} <= row.keys():
            raise DataError(
                "expected rows with prompt and completion (see `sft_rows`), "
                f"got one with {', '.join(row) or 'no fields'}"
            )
    tokens = TextTokens(tokenizer)
    prompts = tokens.of_all([row["prompt"] for row in rows], opens=True)
    completions = tokens.of_all([row["completion"] for row in rows])
    found = []
    for prompt, completion in zip(prompts, completions, strict=True):
        learnt = [*completion, tokenizer.eos_token_id]
        found.append({"input_ids": prompt + learnt, "labels": [IGNORED] * len(prompt) + learnt})
    return found


def _trainer_class(trl: Any) -> Any:
    if torch.cuda.is_available():
        return trl.SFTTrainer
    from rstar_fast.training.cpu_trainer import CpuSFTTrainer

    return CpuSFTTrainer


def _dataset(rows: Sequence[dict[str, list[int]]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([{**row, "length": len(row["input_ids"])} for row in rows])


def _arguments(
    trl: Any, config: TrainConfig, out: str | Path, micro_rows: int, report_to: Sequence[str]
) -> Any:
    devices = num_devices()
    accumulate = max(1, round(config.batch_size / (micro_rows * devices)))
    return trl.SFTConfig(
        num_train_epochs=config.epochs,
        per_device_train_batch_size=max(1, config.batch_size // (accumulate * devices)),
        gradient_accumulation_steps=accumulate,
        max_length=config.max_length,
        bf16=config.precision == "mixed",
        train_sampling_strategy="group_by_length",
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_num_workers=0,
        **common_arguments(config, out, report_to),
    )


def _adapted(model: Any, tokenizer: Any, rank: int, new_marks: Sequence[str]) -> Any:
    """Freeze the model and add adapters. The rows of new marks in embeddings and head train too."""
    from peft import LoraConfig, get_peft_model

    adapted: Any = get_peft_model(
        model,
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    if new_marks:
        ids = tokenizer.convert_tokens_to_ids(list(new_marks))
        for table in {
            part.weight
            for part in (model.get_input_embeddings(), model.get_output_embeddings())
            if part is not None
        }:
            rows = torch.zeros(len(table), 1)
            rows[ids] = 1.0
            table.requires_grad_(True)
            table.register_hook(lambda gradient, rows=rows: gradient * rows.to(gradient))
    return adapted


def _save(trainer: Any, tokenizer: Any, out: Path, config: TrainConfig) -> None:
    with saving(out):
        if config.lora_rank:
            trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().save_pretrained(out)
        else:
            trainer.save_model(str(out))
        if trainer.is_world_process_zero():
            tokenizer.save_pretrained(out)
