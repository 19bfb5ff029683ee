"""The tokenizer of the embedded models.

Every word of the dated events, every fixed part of other questions and every number up to 99 is one
token. Any other text is spelt in bytes. A number of one token is copied by one look at the
question. A longer number is spelt by its first two digits and the rest.

It is a `Qwen2Tokenizer` without merges, since transformers loads the tokenizer of any Qwen2 folder
as one.
"""

import re
from collections.abc import Iterator
from typing import Any

from tokenizers import AddedToken, pre_tokenizers
from transformers import Qwen2Tokenizer

from rstar_fast.embedded import countdown, equations
from rstar_fast.embedded.phrasings import (
    ASK,
    DAYS,
    ITEMS,
    LAST_DIGIT,
    NAMES,
    OPERATIONS,
    START,
    words_of,
)
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import MARKS

_SLOT = re.compile(r"\{\w+\}")
EOS = "<eos>"
PAD = "<pad>"
_FIXED_TEXTS = (
    *finetuned_prompt("\0").split("\0"),
    "\n# start",
    "\n#",
    "\nn = ",
    "\nprint(n)\n",
    "\nprint(",
    "\n# left\nprint(",
    "\n# right\nprint(",
    "\nx = ",
    ", ",
    " = ",
    ")\n",
    "*(",
    "*x",
    ".0",
    "The answer is \\boxed{",
    "}.",
)
_SIGNS = ("+", "-", "*", "/", "//")


def make_tokenizer() -> Any:
    """Return the tokenizer, equal in every call. Words of unseen wordings are tokens too."""
    qwen2: Any = Qwen2Tokenizer
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = qwen2(
        vocab={token: number for number, token in enumerate([PAD, EOS, *MARKS, *characters])},
        merges=[],
        unk_token=EOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=list(MARKS),
        model_max_length=1024,
        padding_side="right",
    )
    texts = dict.fromkeys(text for text in _texts() if text and text not in characters)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in texts])
    return tokenizer


def _texts() -> Iterator[str]:
    """Yield the texts that are one token each, some of them twice."""
    yield from _FIXED_TEXTS
    yield f" {ASK}"
    for wording in (*countdown.WORDINGS, *equations.WORDINGS):
        yield from _SLOT.split(wording)
    yield from map(str, range(10, 100))
    # A question begins with a name, without a space before it.
    yield from NAMES
    wordings = [
        START,
        LAST_DIGIT,
        *(w for operation in OPERATIONS for w in (*operation.wordings, operation.unseen)),
    ]
    for word in (*DAYS, *NAMES, *ITEMS, *words_of(wordings)):
        yield f" {word}"
    for sign in _SIGNS:
        yield f" {sign} "
