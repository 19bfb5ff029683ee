"""The radix tree of KV: what is found is what was put in, and it stays within its bytes."""

import random

import pytest
import torch

from rstar_fast.policy.prefix_store import PrefixStore

WIDTH = 2


def kv_of(tokens: list[int], start: int = 0) -> torch.Tensor:
    """KV that depends on all tokens up to each position, as real KV does."""
    sums = torch.tensor(tokens, dtype=torch.float64).cumsum(0)
    return torch.stack([sums, torch.arange(len(tokens), dtype=torch.float64)], 1)[start:]


def put(store: PrefixStore, tokens: list[int]) -> int:
    """Store a whole prefix the way the engine does; returns how much of it was known."""
    known, pieces = store.match(tokens)
    if pieces:
        assert torch.equal(torch.cat(pieces), kv_of(tokens)[:known])
    store.insert(tokens, known, kv_of(tokens, known))
    return known


def test_longest_prefix_and_splits() -> None:
    store = PrefixStore(1 << 20)
    assert put(store, [1, 2, 3, 4]) == 0
    assert put(store, [1, 2, 3, 4]) == 4
    assert put(store, [1, 2, 5]) == 2
    assert put(store, [1, 2, 5, 6]) == 3
    assert put(store, [7]) == 0
    assert put(store, [1, 2, 3, 4, 8]) == 4
    assert store.size_bytes == 8 * 8 * WIDTH
    store.clear()
    assert store.size_bytes == 0 and store.match([1, 2])[0] == 0


def test_what_has_no_beginning_is_not_kept() -> None:
    store = PrefixStore(1 << 20)
    store.insert([1, 2, 3], 2, kv_of([1, 2, 3], 2))
    assert store.size_bytes == 0
    nothing = PrefixStore(0)
    nothing.insert([1, 2], 0, kv_of([1, 2]))
    assert nothing.size_bytes == 0


def test_least_recently_used_leaves_go_first() -> None:
    store = PrefixStore(10 * 8 * WIDTH)
    put(store, [1, 1, 1, 1])
    put(store, [1, 1, 2, 2])
    put(store, [3, 3, 3])
    store.match([1, 1, 1, 1])
    put(store, [4, 4])
    assert store.match([1, 1, 2, 2])[0] == 2
    assert store.match([1, 1, 1, 1])[0] == 4
    assert store.match([4, 4])[0] == 2


@pytest.mark.parametrize("tokens_kept", [7, 40, 1000])
def test_random_prefixes(tokens_kept: int) -> None:
    chance, store = random.Random(tokens_kept), PrefixStore(tokens_kept * 8 * WIDTH)
    known: list[list[int]] = [[]]
    for _ in range(500):
        tokens = chance.choice(known)[: chance.randrange(8)] + [
            chance.randrange(3) for _ in range(chance.randrange(1, 6))
        ]
        put(store, tokens)
        known.append(tokens)
        assert 0 <= store.size_bytes <= store.capacity_bytes
