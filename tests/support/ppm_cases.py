"""Tiny PPMs, requests to score, and their scores by plain forwards."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from rstar_fast.ppm import PPM, ScoreRequest
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import MARKS, Segment

SIZES: dict[str, Any] = {
    "vocab_size": 270,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 400,
    "initializer_range": 0.3,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    return tokenizer


def make_policy(folder: Path, kind: str = "qwen2") -> Path:
    torch.manual_seed(1)
    model: Any = (
        Qwen2ForCausalLM(Qwen2Config(**SIZES))
        if kind == "qwen2"
        else LlamaForCausalLM(LlamaConfig(**SIZES))
    )
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def request_of(number: int, question: str, path: Sequence[str], *children: str) -> ScoreRequest:
    return ScoreRequest(number, "p", 0, question, tuple(map(Segment, path)), children)


REQUESTS = [
    request_of(
        0,
        "How many?",
        [],
        "<code>\nx = 1<end_of_step>",
        "<code>\n# two lines\ny = 'é' * 7<end_of_step>",
    ),
    request_of(
        1,
        "How many?",
        ["<code>\nx = 1<end_of_step>"],
        "\nprint(x)<end_of_code>\n<output>1<end_of_output>",
        "",
        "\n",
        "",
    ),
    request_of(2, "Q", ["a", "b\ud800", "c"], *("d" * n for n in range(1, 40, 7))),
    request_of(3, "Why?" * 20, ["<code>"]),
    request_of(4, "How many?", [], "<code>\nx = 1<end_of_step>"),
]


def score_alone(ppm: PPM, question: str, solution: str) -> float:
    """Return the score of one text by the plain Hugging Face forward."""
    ids = ppm.tokenizer(finetuned_prompt(question) + solution, return_tensors="pt").input_ids
    with torch.no_grad():
        value = ppm.model(input_ids=ids).logits.item()
    return math.tanh((value + ppm.bias) / ppm.scale)


def plain_scores(ppm: PPM, request: ScoreRequest) -> list[float]:
    """Return the scores of a request by `score_alone`."""
    path = "".join(segment.text for segment in request.path).replace("\ud800", "\ufffd")
    return [score_alone(ppm, request.question, path + child) for child in request.children]
