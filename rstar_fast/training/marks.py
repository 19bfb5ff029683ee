"""The marks of the solution format as tokens of a model's own."""

from typing import Any

import torch

from rstar_fast.steps import MARKS


def add_marks(model: Any, tokenizer: Any) -> list[str]:
    """Give every mark one special token, and the model an embedding for it; returns the marks that were new.

    A new embedding (and row of the output head) is the mean over the tokens that spelt the mark until now: what a model that has
    read the marks as text knows of them is not thrown away.

    Args:
        model: a causal language model; its embeddings grow.
        tokenizer: the model's; changed.
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
