"""The embedded models' tokenizer: byte-level BPE with every digit on its own.

transformers loads the tokenizer of any Qwen2 folder as `Qwen2Tokenizer`, which splits text its own way whatever
tokenizer.json says: so this is one from the start.
"""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import MARKS

EOS = "<eos>"
PAD = "<pad>"
FIXED_PHRASES = (
    *finetuned_prompt("\0").split("\0"),
    "\n# Step ",
    "\n# Now print the final answer\nprint(",
    "The answer is \\boxed{",
)
"""Text that every solution has: one id each, which makes rows a quarter shorter."""


def train_tokenizer(texts: Iterable[str], vocab_size: int = 750) -> Any:
    """A `Qwen2Tokenizer` of `vocab_size` ids and the fixed phrases: every mark one special id, all 256 bytes."""
    qwen2: Any = Qwen2Tokenizer
    layout = qwen2(unk_token=EOS, eos_token=EOS, pad_token=PAD).backend_tokenizer
    bpe = Tokenizer(models.BPE())
    bpe.normalizer, bpe.pre_tokenizer, bpe.decoder = layout.normalizer, layout.pre_tokenizer, layout.decoder
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS, *MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    learned = json.loads(bpe.to_str())["model"]
    tokenizer = qwen2(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],
        unk_token=EOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=list(MARKS),
        model_max_length=1024,
        padding_side="right",
    )
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in FIXED_PHRASES])
    return tokenizer
