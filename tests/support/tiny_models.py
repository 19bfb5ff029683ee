"""Tiny random causal language models and a byte-level tokenizer, made in the process."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from rstar_fast.policy import ExpandRequest, Expansion, Policy, Sampling
from rstar_fast.steps import Segment

EOS = "<eos>"


def byte_tokenizer(
    specials: Sequence[str] = (), merges: Sequence[tuple[str, str]] = ()
) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each byte, one for each merge, and special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *(a + b for a, b in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS)
    if specials:
        fast.add_special_tokens({"additional_special_tokens": list(specials)})
    return fast


def closing_tokenizer(specials: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Return a byte tokenizer that puts <bos> in front of a text, and <eos> behind it."""
    tokenizer = byte_tokenizer(["<bos>", *specials])
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<bos>", EOS)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"<bos> $A {EOS}", special_tokens=ids
    )
    return tokenizer


_COMMON = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": None,
}
_LLAMA_LIKE = {**_COMMON, "hidden_size": 32, "intermediate_size": 64, "num_key_value_heads": 2}
_CONFIGS: dict[str, tuple[type[PretrainedConfig], dict[str, object]]] = {
    "qwen2": (Qwen2Config, _LLAMA_LIKE),
    "qwen3": (Qwen3Config, {**_LLAMA_LIKE, "head_dim": 16}),
    "llama": (LlamaConfig, _LLAMA_LIKE),
    "mistral": (MistralConfig, {**_LLAMA_LIKE, "sliding_window": None}),
    "phi3": (Phi3Config, {**_LLAMA_LIKE, "pad_token_id": None}),
    "gpt2": (GPT2Config, {**_COMMON, "hidden_size": 32}),
}
ARCHITECTURES = tuple(_CONFIGS)


def tiny_model(
    architecture: str, tokenizer: PreTrainedTokenizerFast, spread: float = 0.3, **changes: object
) -> PreTrainedModel:
    """Return a random float32 model.

    A large `spread`, the standard deviation of the weights, makes peaked distributions.
    """
    kind, options = _CONFIGS[architecture]
    torch.manual_seed(0)
    config = kind(
        vocab_size=len(tokenizer),
        initializer_range=spread,
        **{"eos_token_id": tokenizer.eos_token_id, **options, **changes},  # type: ignore[arg-type]
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    return model


def request(
    number: int,
    question: str = "How many?",
    path: Sequence[Segment] = (),
    n: int = 1,
    node: int = 0,
    sampling: Sampling | None = None,
) -> ExpandRequest:
    """Return a request of problem `p{question}` with seed 0."""
    return ExpandRequest(
        number,
        f"p{question}",
        node,
        question,
        tuple(path),
        n,
        0,
        sampling or Sampling(max_tokens=12),
    )


def answers(policy: Policy, requests: Sequence[ExpandRequest]) -> dict[int, Expansion]:
    """Return the expansions of some requests, by request id."""
    policy.add(requests)
    done: dict[int, Expansion] = {}
    for _ in range(10_000):
        if not policy.pending:
            return done
        for expansion in policy.step():
            assert expansion.request_id not in done
            done[expansion.request_id] = expansion
    raise AssertionError("the policy does not end")


def with_remote_code(folder: Path) -> Path:
    """Make a saved model one that needs Python code from its folder.

    The code makes the file that is returned.
    """
    marker = folder / "executed"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own_kind"
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    return marker
