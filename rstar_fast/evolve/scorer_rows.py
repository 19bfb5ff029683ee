"""The stage that has the round's policy read what its scorers learn from."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rstar_fast.data import merged, read_rows, write_rows
from rstar_fast.errors import DataError, StoreError
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import fresh_folder, read_trees
from rstar_fast.evolve.groups import split_digest
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.stage import RowsStage
from rstar_fast.models.devices import find_device, find_dtype
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.training.config import FITTED
from rstar_fast.training.policy_logprobs import policy_logprobs
from rstar_fast.tree import Tree

PAIRS = "pairs.jsonl"
HELD_OUT_PAIRS = "held_out_pairs.jsonl"
FIRST_HELD_OUT_PAIRS = "first_held_out_pairs.jsonl"
FIT_PAIRS = "fit_pairs.jsonl"
TRAJECTORIES = "trajectories.jsonl"

Rows = list[dict[str, Any]]


def make_rows(stage: RowsStage, context: Context) -> dict[str, Any]:
    """Write the rows of data stages with the log-probabilities of the round's policy.

    It is the policy that will be searched with. The files are those of
    the data stages, of all of them together, and `first_held_out_pairs.jsonl`. Where the weight of
    the likelihood is fitted, half of the problems that measure are for that: their pairs are in
    `fit_pairs.jsonl` and nowhere else.

    Raises:
        PolicyError: The policy's attention cannot be replaced.
        StoreError: The trees or the rows cannot be read, or the disk refuses.
    """
    reader = _Reader(stage, context)
    learnt = [reader.read(data) for data in stage.data]
    first = (
        reader.read(stage.first, (HELD_OUT_PAIRS,)) if stage.first not in stage.data else learnt[0]
    )
    fitted = context.config.ppm.likelihood == FITTED

    def fits(row: dict[str, Any]) -> bool:
        return fitted and _fits(row["id"], context.config.seed)

    held_out = [row for files in learnt for row in files[HELD_OUT_PAIRS]]
    files = {
        PAIRS: [row for files in learnt for row in files[PAIRS]],
        TRAJECTORIES: [row for files in learnt for row in files.get(TRAJECTORIES, [])],
        FIT_PAIRS: list(filter(fits, held_out)),
        HELD_OUT_PAIRS: [row for row in learnt[-1][HELD_OUT_PAIRS] if not fits(row)],
        FIRST_HELD_OUT_PAIRS: [row for row in first[HELD_OUT_PAIRS] if not fits(row)],
    }
    with fresh_folder(context.run / stage.name) as folder:
        for name, rows in files.items():
            if rows:
                write_rows(folder / name, rows)
    return {Path(name).stem: len(rows) for name, rows in files.items()} | {
        "steps": reader.num_steps
    }


class _Reader:
    """Reads rows of data stages and gives them the log-probabilities of a policy.

    Attributes:
        num_steps: Number of steps whose log-probabilities were computed.
    """

    def __init__(self, stage: RowsStage, context: Context) -> None:
        self._run = context.run
        source = context.run / stage.policy
        dtype = find_dtype(context.config.dtype)
        self._model = load(source, dtype, find_device(context.device))
        self._tokenizer = load_tokenizer(source)
        self.num_steps = 0
        self._names = (PAIRS, HELD_OUT_PAIRS, *((TRAJECTORIES,) if stage.trajectories else ()))

    def read(self, data: str, names: Sequence[str] | None = None) -> dict[str, Rows]:
        """Return the rows of the files of a data stage. A file that is missing has none."""
        folder = self._run / data
        files = {
            name: read_rows(folder / name) if (folder / name).exists() else []
            for name in names or self._names
        }
        manifest = read_manifest(folder)
        if manifest is None:
            raise StoreError(f"{folder}: expected a finished stage")
        trees = merged(read_trees(self._run, manifest["options"]["searches"]))
        wanted = {row["id"] for rows in files.values() for row in rows}
        places = {tree.problem.id: _Places(tree) for tree in trees if tree.problem.id in wanted}
        for rows in files.values():
            for row in rows:
                places[row["id"]].note(row)
        found = policy_logprobs(
            self._model,
            self._tokenizer,
            [place.tree for place in places.values()],
            [place.nodes for place in places.values()],
        )
        self.num_steps += sum(map(len, found))
        for place, logprobs in zip(places.values(), found, strict=True):
            place.logprobs = logprobs
        for rows in files.values():
            for row in rows:
                places[row["id"]].fill(row)
        return files


class _Places:
    """Where the steps of a problem's rows stand in its tree.

    Attributes:
        tree: Merged tree of the problem. Siblings differ in their texts.
        nodes: Numbers of the nodes whose log-probabilities are needed.
        logprobs: Their log-probabilities, nats.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.nodes: set[int] = set()
        self.logprobs: dict[int, float] = {}
        self._children = {(node.parent, node.text): node.id for node in tree.nodes[1:]}

    def note(self, row: dict[str, Any]) -> None:
        """Note the nodes of a row of pairs, or of a trajectory."""
        for _, _, path in self._paths(row):
            self.nodes.update(path)

    def fill(self, row: dict[str, Any]) -> None:
        """Put the log-probabilities into a row."""
        for key, number, path in self._paths(row):
            values = [self.logprobs[node] for node in path]
            if number is None:
                row[key] = values
            else:
                row[key][number] = sum(values)

    def _paths(self, row: dict[str, Any]) -> Iterable[tuple[str, int | None, list[int]]]:
        """Yield the key of log-probabilities, the place in their list, and the nodes of the steps.

        The place is None if the list has one log-probability for every step.
        """
        if "steps" in row:
            yield "logprobs", None, self._path(0, row["steps"])
            return
        prefix = self._path(0, row["prefix"])
        begin = prefix[-1] if prefix else 0
        for side in ("chosen", "rejected"):
            for i, steps in enumerate(row[side]):
                yield f"{side}_logprob", i, self._path(begin, steps)

    def _path(self, node: int, steps: Iterable[str]) -> list[int]:
        """Return the nodes of some steps behind a node."""
        path = []
        for step in steps:
            found = self._children.get((node, step))
            if found is None:
                raise DataError(
                    f"problem {self.tree.problem.id!r}: expected a step of its trees, got {step!r}"
                )
            node = found
            path.append(node)
        return path


def _fits(problem_id: str, seed: int) -> bool:
    """Return whether a problem that trains nothing is for fitting weights, and not for measuring.

    A hash of the seed and the problem's id decides, so that it is the same in every round.
    """
    return split_digest(f"fit {seed} {problem_id}")[0] % 2 == 0
