"""Made-up engines whose steps have tokens of very different numbers, and a driver of them."""

from collections.abc import Callable
from typing import Any

from ask_tell import Engine, drive
from scripted_engines import problems

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.search import Search
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Observation, Status


def written(request: ExpandRequest, sample: int, mean_tokens: int) -> Candidate:
    """Return a step of any length that is cut where the request says so."""
    draw = request.draw_key(sample)
    depth = len([one for one in request.path if "output" not in one.text])
    length = 1 + draw // 7 % (2 * mean_tokens)
    text = f"\nx{depth} = {draw % 50}\n<end_of_step>"
    if depth >= 2 and draw % 3 == 0:
        text = f"\n<answer>$\\boxed{{{draw // 11 % 4}}}$<end_of_answer>"
    most = request.sampling.max_tokens
    if length > most:
        text = text[: len(text) * most // length]
    ids = tuple(range(min(length, most)))
    return Candidate(text, ids, (-0.5,) * len(ids), "length" if length > most else "mark")


class Lengths(Engine):
    """Answers every request by a rule. Steps have 1 to 2 * `mean_tokens` tokens."""

    def __init__(self, mean_tokens: int = 10) -> None:
        self.mean_tokens = mean_tokens
        self.generated = 0

    def expand(self, request: ExpandRequest) -> Expansion:
        steps = [written(request, i, self.mean_tokens) for i in range(request.num_candidates)]
        self.generated += sum(len(step.token_ids) for step in steps)
        return Expansion(request.id, tuple(steps))

    def run(self, request: Any) -> Observation:
        return Observation(Status.OK, "fine")


def searched(
    engine: Lengths, count: int = 3, pick: Callable[[list[Any]], Any] = list.pop, **options: Any
) -> list[Tree | Failure]:
    """Search problems. `pick` takes the next request out of those that are open."""
    config = {"candidates": 4, "max_depth": 6, "max_step_tokens": 40, **options}
    search = Search(SearchConfig.from_dict(config))
    search.add(problems(count))
    return drive(search, engine, pick)


def trees(*args: Any, **options: Any) -> dict[str, Tree]:
    """Search problems that none fails of. Returns the trees by problem id."""
    ended = searched(*args, **options)
    found = {one.problem.id: one for one in ended if isinstance(one, Tree)}
    assert len(found) == len(ended), ended
    return found


def plain(tree: Tree) -> Any:
    """What must not depend on the order of arrival."""
    return tree.nodes, tree.counts, tree.ended, tree.sure
