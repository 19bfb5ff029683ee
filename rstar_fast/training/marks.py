"""Special tokens for the marks of the solution format."""

from typing import Any

import torch

from rstar_fast.steps import MARKS


def add_marks(model: Any, tokenizer: Any) -> list[str]:
    """Give every mark a special token and an embedding. Return the marks that had no token.

    A new embedding (and a new row of the output head) is the mean over the tokens that spelt the
    mark until now. A model that has read the marks as text keeps what it knows of them.

    Args:
        model: Causal language model. Changed: its embeddings may grow.
        tokenizer: Tokenizer of the model. Changed.
    """
    vocabulary = tokenizer.get_vocab()
    new = [mark for mark in MARKS if mark not in vocabulary]
    spelt = [tokenizer(mark, add_special_tokens=False).input_ids for mark in new]
    specials = [mark for mark in MARKS if mark in new or mark not in tokenizer.all_special_tokens]
    if not specials:
        return []
    tokenizer.add_special_tokens(
        {"extra_special_tokens": specials}, replace_extra_special_tokens=False
    )
    if not new:
        return []
    # A padded vocabulary may have room for them already.
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = tokenizer.convert_tokens_to_ids(new)
    tables = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    with torch.no_grad():
        for table in tables:
            for token, parts in zip(ids, spelt, strict=True):
                table[token] = table[parts].float().mean(0).to(table.dtype)
    return new
