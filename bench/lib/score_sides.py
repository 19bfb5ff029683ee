"""The work that bench/score.py measures, and the ways to score it and to train on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus
from transformers import DynamicCache

from rstar_fast._core import pack
from rstar_fast.kernels.preference_loss import PairGroups, preference_loss
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.problems import Problem
from rstar_fast.steps import Segment
from rstar_fast.tree import Node, Tree

ENGINE_BLOCK = 16
"""Number of tokens in a block of an engine's prefix cache. A block is shared once it is full."""
SIBLINGS = 4
PREFERRED, OTHERS = (0, 0, 1, 1), (2, 3, 2, 3)
"""Siblings of the pairs of a level in training: two against two, as in rStar-Math."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Work:
    """Trees of tokens. At each level all children are scored, and one of them gets children.

    Attributes:
        prompts: Tokens of the prompts, int64 [trees, prompt tokens].
        steps: Tokens of the steps, int64 [trees, depth, candidates, step tokens].
        chosen: Index of the child that gets children, int64 [trees, depth].
    """

    prompts: Tensor
    steps: Tensor
    chosen: Tensor

    @classmethod
    def draw(
        cls,
        trees: int,
        depth: int,
        candidates: int,
        prompt: int,
        step: int,
        vocabulary: int,
        device: str,
    ) -> "Work":
        """Return trees of random tokens without token 0."""
        draw = torch.Generator().manual_seed(0)
        return cls(
            *(
                torch.randint(low, high, shape, generator=draw).to(device)
                for low, high, shape in (
                    (1, vocabulary, (trees, prompt)),
                    (1, vocabulary, (trees, depth, candidates, step)),
                    (0, candidates, (trees, depth)),
                )
            )
        )

    @property
    def num_nodes(self) -> int:
        """Number of nodes to score."""
        return self.steps[..., 0].numel()

    @property
    def distinct(self) -> int:
        """Number of distinct tokens: those of prompts and steps."""
        return self.prompts.numel() + self.steps.numel()

    def levels(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the prefixes and the children of each level.

        Prefixes have the shape [trees, tokens], children [trees, candidates, step tokens].
        """
        prefix, every = self.prompts, torch.arange(len(self.prompts), device=self.prompts.device)
        for depth in range(self.steps.shape[1]):
            yield prefix, self.steps[:, depth]
            prefix = torch.cat([prefix, self.steps[every, depth, self.chosen[:, depth]]], 1)


class Numbers:
    """A tokenizer for texts that are numbers of tokens, separated by spaces.

    Other words have no tokens.
    """

    name_or_path = "numbers"
    bos_token = bos_token_id = eos_token_id = pad_token_id = unk_token = unk_token_id = None
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}
    all_special_tokens = all_special_ids = ()
    chat_template = None

    def __call__(self, text: str, **options: Any) -> Any:
        """Return the tokens of a text."""
        return SimpleNamespace(input_ids=[int(word) for word in text.split() if word.isdecimal()])

    @staticmethod
    def text(tokens: Tensor) -> str:
        """Return the text of tokens."""
        return " ".join(map(str, tokens.tolist()))


@torch.inference_mode()
def per_path(ppm: PPM, work: Work, batch_tokens: int) -> tuple[Scores, int]:
    """Score the whole path of every node, as the reference does.

    Returns:
        Scores, float64 [nodes], and the number of tokens encoded.
    """
    scores, encoded = [], 0
    for prefix, children in work.levels():
        rows = torch.cat([prefix[:, None].expand(-1, children.shape[1], -1), children], 2).flatten(
            0, 1
        )
        for part in rows.split(max(1, batch_tokens // rows.shape[1])):
            scores.append(ppm.squash(ppm.forward(part, _last(part))))
            encoded += part.numel()
    return _numbers(scores), encoded


@torch.inference_mode()
def prefix_cached(ppm: PPM, work: Work, batch_tokens: int) -> tuple[Scores, int]:
    """Score as an engine with a prefix cache does.

    The full blocks of a path are in the cache. The rest of the path is encoded for every sibling.
    """
    known, encoded, scores = _cache_of(ppm, work.prompts), work.prompts.numel(), []
    trees, _, candidates, _ = work.steps.shape
    for depth, (prefix, children) in enumerate(work.levels()):
        shared = prefix.shape[1] // ENGINE_BLOCK * ENGINE_BLOCK
        rows = torch.cat(
            [prefix[:, None, shared:].expand(-1, candidates, -1), children], 2
        ).flatten(0, 1)
        wide = DynamicCache(
            [
                tuple(part[:, :, :shared].repeat_interleave(candidates, 0) for part in layer)
                for layer in known
            ]
        )
        hidden = _hidden(ppm, rows, wide)
        scores.append(ppm.squash(ppm.head(hidden[:, -1])))
        encoded += rows.numel()
        keep = torch.arange(trees, device=ppm.model.device) * candidates + work.chosen[:, depth]
        known = [(layer.keys[keep], layer.values[keep]) for layer in wide.layers]
    return _numbers(scores), encoded


@torch.inference_mode()
def packed_dense(ppm: PPM, work: Work, batch_tokens: int) -> tuple[Scores, int]:
    """Score siblings in one row after their cached path, under a mask of queries x keys.

    The attention is the model's own.
    """
    known, encoded, scores = _cache_of(ppm, work.prompts), work.prompts.numel(), []
    trees, _, candidates, step = work.steps.shape
    device, dtype = ppm.model.device, ppm.model.dtype
    hidden_from_it = torch.finfo(dtype).min
    every, steps = torch.arange(trees, device=device), torch.arange(step, device=device)
    each = torch.arange(candidates, device=device)
    block = torch.full((step, step), hidden_from_it, dtype=dtype, device=device).triu(1)
    for depth, (prefix, children) in enumerate(work.levels()):
        mask = block.new_full((candidates, step, candidates, step), hidden_from_it)
        mask[each, :, each] = block
        mask = torch.cat(
            [block.new_zeros(candidates * step, prefix.shape[1]), mask.view(candidates * step, -1)],
            1,
        )
        wide = DynamicCache(known)
        positions = (prefix.shape[1] + steps).repeat(candidates)[None].expand(trees, -1)
        hidden = _hidden(ppm, children.flatten(1), wide, positions, mask.expand(trees, 1, -1, -1))
        scores.append(ppm.squash(ppm.head(hidden[:, step - 1 :: step].flatten(0, 1))))
        encoded += children.numel()
        chosen = prefix.shape[1] + work.chosen[:, depth, None] * step + steps
        known_before = torch.arange(prefix.shape[1], device=device)
        kept = torch.cat([known_before.expand(trees, -1), chosen], 1)
        known = [
            tuple(
                part[every[:, None], :, kept].transpose(1, 2) for part in (layer.keys, layer.values)
            )
            for layer in wide.layers
        ]
    return _numbers(scores), encoded


def packed_sparse(ppm: PPM, work: Work, batch_tokens: int) -> tuple[Scores, int]:
    """Score with `PackedScorer`, level by level as in a search."""
    scorer = _fresh_scorer(ppm, batch_tokens)
    before = scorer.stats.encoded_tokens
    texts, prompts, chosen = _texts(work), _prompts(work), work.chosen.tolist()
    paths: list[tuple[Segment, ...]] = [() for _ in work.prompts]
    found = []
    for depth in range(work.steps.shape[1]):
        requests = [
            ScoreRequest(i, str(i), depth, prompts[i], paths[i], tuple(texts[i][depth]))
            for i in range(len(paths))
        ]
        found += [scores.values for scores in scorer.score(requests)]
        paths = [
            (*path, Segment(texts[i][depth][chosen[i][depth]])) for i, path in enumerate(paths)
        ]
        if scorer.kept_bytes > scorer.cache_bytes:
            raise SystemExit(
                f"the scorer keeps {scorer.kept_bytes} bytes, its limit is {scorer.cache_bytes}"
            )
    return np.concatenate(found), scorer.stats.encoded_tokens - before


def whole_trees(ppm: PPM, work: Work, batch_tokens: int) -> tuple[Scores, int]:
    """Score finished trees with `PackedScorer`."""
    trees, depth, candidates, _ = work.steps.shape
    texts, prompts, chosen = _texts(work), _prompts(work), work.chosen.tolist()
    finished = []
    for i in range(trees):
        nodes, parent = [Node(0, -1, 0)], 0
        for level in range(depth):
            first = len(nodes)
            nodes += [
                Node(first + j, parent, level + 1, text) for j, text in enumerate(texts[i][level])
            ]
            parent = first + chosen[i][level]
        finished.append(Tree(Problem(str(i), prompts[i]), nodes, 0, {}, {}))
    scorer = _fresh_scorer(ppm, batch_tokens)
    before = scorer.stats.encoded_tokens
    values = np.stack([scores.values[1:] for scores in scorer.score_trees(finished)])
    by_level = values.reshape(trees, depth, candidates).swapaxes(0, 1)
    return by_level.reshape(-1), scorer.stats.encoded_tokens - before


_scorer = cache(PackedScorer)


def _fresh_scorer(ppm: PPM, batch_tokens: int) -> PackedScorer:
    """Return a scorer that keeps nothing of earlier texts. A search makes its scorer once."""
    scorer = _scorer(ppm, batch_tokens)
    scorer.forget()
    return scorer


SCORING: dict[str, Callable[[PPM, Work, int], tuple[Scores, int]]] = {
    "per path": per_path,
    "prefix-cached": prefix_cached,
    "packed, dense mask": packed_dense,
    "packed, sparse": packed_sparse,
    "packed, whole trees": whole_trees,
}


def pair_by_pair(ppm: PPM, work: Work, batch_tokens: int) -> tuple[float, int]:
    """Compute the gradients of the loss over pairs, each pair as two texts of its own.

    Returns:
        The loss and the number of tokens encoded.
    """
    return _train_rows(
        ppm,
        work,
        batch_tokens,
        [*PREFERRED, *OTHERS],
        range(len(PREFERRED)),
        range(len(PREFERRED), 2 * len(OTHERS)),
    )


def text_by_text(ppm: PPM, work: Work, batch_tokens: int) -> tuple[float, int]:
    """Compute the gradients with each text once, however many pairs it is in."""
    return _train_rows(ppm, work, batch_tokens, range(SIBLINGS), PREFERRED, OTHERS)


def _train_rows(
    ppm: PPM,
    work: Work,
    batch_tokens: int,
    rows: Sequence[int],
    preferred: Sequence[int],
    others: Sequence[int],
) -> tuple[float, int]:
    """Compute the gradients over rows of siblings.

    Args:
        ppm: PPM that is trained.
        work: Trees.
        batch_tokens: Largest number of tokens in a batch.
        rows: Indices of the siblings of a level that are rows.
        preferred: Index of the preferred row of each pair.
        others: Index of the other row of each pair.
    """
    total, encoded = 0.0, 0
    for prefix, children in work.levels():
        groups = torch.cat([prefix[:, None].expand(-1, len(rows), -1), children[:, list(rows)]], 2)
        # The pairs of one level stay together.
        for part in groups.split(max(1, batch_tokens // groups[0].numel())):
            flat = part.flatten(0, 1)
            scores = ppm.squash(ppm.forward(flat, _last(flat))).view(len(part), -1)
            losses = softplus(scores[:, list(others)] - scores[:, list(preferred)]).mean(1)
            loss = losses.sum() / (work.steps.shape[0] * work.steps.shape[1])
            loss.backward()
            total, encoded = total + loss.item(), encoded + flat.numel()
    return total, encoded


def packed_training(ppm: PPM, work: Work, batch_tokens: int) -> tuple[float, int]:
    """Compute the gradients on packed trees, with each token once."""
    trees, depth, candidates, step = work.steps.shape
    parents: list[int] = []
    for i in range(trees):
        parent = len(parents)
        parents.append(-1)
        for level in range(depth):
            first = len(parents)
            parents += [parent] * candidates
            parent = first + int(work.chosen[i, level])
    counts = np.where(np.array(parents) < 0, work.prompts.shape[1], step).astype(np.int32)
    tokens = (
        torch.cat([work.prompts, work.steps.flatten(1)], 1).flatten().cpu().numpy().astype(np.int32)
    )
    packed = pack(np.array(parents, np.int32), counts, tokens)
    firsts = [
        i * (1 + depth * candidates) + 1 + level * candidates
        for i in range(trees)
        for level in range(depth)
    ]
    sides = [sorted(set(side)) for side in (PREFERRED, OTHERS)]
    groups = PairGroups.of(
        [([first + j for j in sides[0]], [first + j for j in sides[1]]) for first in firsts],
        ppm.model.device,
    )
    loss = preference_loss(ppm.squash(_packed_model(ppm).values(packed)), groups).mean()
    loss.backward()
    return loss.item(), len(packed.tokens)


_packed_model = cache(PackedModel)

TRAINING: dict[str, Callable[[PPM, Work, int], tuple[float, int]]] = {
    "pair by pair": pair_by_pair,
    "text by text": text_by_text,
    "packed": packed_training,
}


def _last(rows: Tensor) -> Tensor:
    """Return the index of the last token of each row."""
    return torch.full((len(rows),), rows.shape[1] - 1, device=rows.device)


@cache
def _texts(work: Work) -> list[list[list[str]]]:
    """Return the texts of the steps, which a search has before it asks for scores."""
    return [[[Numbers.text(child) for child in level] for level in tree] for tree in work.steps]


@cache
def _prompts(work: Work) -> list[str]:
    return [Numbers.text(prompt) for prompt in work.prompts]


def _hidden(
    ppm: PPM, ids: Tensor, cache: Any, positions: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    found: Tensor = ppm.model.base_model(
        input_ids=ids,
        position_ids=positions,
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    return found


def _cache_of(ppm: PPM, prompts: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the keys and values of the prompts by layer, [trees, heads, tokens, dim]."""
    found = DynamicCache()
    _hidden(ppm, prompts, found)
    return [(layer.keys, layer.values) for layer in found.layers]


def _numbers(scores: list[Tensor]) -> Scores:
    return torch.cat(scores).double().cpu().numpy()
