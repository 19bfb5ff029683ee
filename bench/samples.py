"""What do a search's trees cost as training samples, and are their log-probabilities right?

    python bench/samples.py [--quick] [--problems N] [--leaves N]

The embedded policy searches held-out problems by itself, at temperature 1. All graded leaves of
each tree become samples, and so do the leaves that `choose_leaves` picks. The bench counts the
tokens that a trainer forwards one sample at a time, and packed with each token once. It scores each
sample again by a plain forward of the policy. It prints a card, the figures and, as the last line,
one JSON document.
"""

import argparse
import json
import time
from typing import Any

import torch
from lib.card import print_card

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import TransformersPolicy
from rstar_fast.policy.loading import load
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.problems import read_problems
from rstar_fast.search import Searcher
from rstar_fast.training_samples import Sample, choose_leaves, pack_samples, samples
from rstar_fast.tree import Tree

CONFIG = SearchConfig(
    candidates=4,
    rollouts=16,
    max_depth=12,
    temperature=1.0,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)


def main() -> None:
    """Search, count, score again, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--leaves", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.problems = 3
    torch.set_num_threads(1)
    print_card(config=CONFIG.to_dict(), problems=args.problems)
    model, tokenizer = (
        load(policy_path(), torch.float32, torch.device("cpu")),
        load_tokenizer(policy_path()),
    )
    prefix = PrefixTokens(tokenizer, "finetuned")
    with Searcher(TransformersPolicy(model, tokenizer), config=CONFIG) as searcher:
        ended = list(searcher.search(read_problems(f"graded:held_out:{args.problems}")))
    trees = [tree for tree in ended if isinstance(tree, Tree)]
    document: dict[str, Any] = {"trees": len(trees)}
    began = time.process_time()
    every = [samples(tree, prefix) for tree in trees]
    document["ms_per_sample"] = (time.process_time() - began) * 1e3 / sum(map(len, every))
    chosen = [samples(tree, prefix, choose_leaves(tree, args.leaves)) for tree in trees]
    for name, of_trees in (("all leaves", every), (f"{args.leaves} leaves", chosen)):
        packs = [pack_samples(of_tree) for of_tree in of_trees if of_tree]
        document[name] = {
            "samples": sum(map(len, of_trees)),
            "tokens_one_by_one": sum(one.num_sample_tokens for one in packs),
            "tokens_packed": sum(len(one.packed.tokens) for one in packs),
            "completion_tokens": _sum(of_trees, lambda one: len(one.completion_ids)),
            "drawn_tokens": _sum(of_trees, lambda one: sum(one.mask)),
        }
    errors = [_largest_error(model, one) for of_tree in every for one in of_tree]
    document["largest_logprob_error"] = max(errors)
    for name, value in document.items():
        print(f"{name:24}{value}")
    print(json.dumps(document))


def _sum(of_trees: list[list[Sample]], count: Any) -> int:
    return sum(count(one) for of_tree in of_trees for one in of_tree)


@torch.inference_mode()
def _largest_error(model: Any, sample: Sample) -> float:
    """Return how far a drawn token's log-probability is from that of a plain forward, at most."""
    ids = torch.tensor([sample.prompt_ids + sample.completion_ids])
    logits = model(input_ids=ids).logits[0].float()[len(sample.prompt_ids) - 1 : -1]
    again = logits.log_softmax(-1).gather(1, ids[0, len(sample.prompt_ids) :, None])[:, 0]
    errors = (torch.tensor(sample.logprobs) - again).abs() * torch.tensor(sample.mask)
    return float(errors.max())


if __name__ == "__main__":
    main()
