"""A search whose trees go to a run folder, and which continues where it was stopped."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.errors import described
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem
from rstar_fast.remote.identity import Identity
from rstar_fast.search.naming import parse_model_name
from rstar_fast.search.recording import Recording
from rstar_fast.search.searcher import Searcher
from rstar_fast.store import RunFolder, TreeSummary
from rstar_fast.tree import Tree


def run_config(
    config: SearchConfig,
    *,
    policy: str,
    ppm: str | None,
    problems: str,
    dtype: str | None = None,
    tokenizer: str | None = None,
    ppm_folder: str | None = None,
) -> dict[str, Any]:
    """Return everything that decides the trees of a run, for `RunFolder.open`.

    Paths are made absolute. What changes no tree is left out: `max_active`, and the address of a
    server.

    Args:
        config: Configuration of the search.
        policy: Folder or name of the policy.
        ppm: Folder or name of the PPM. None without one.
        problems: File or name of the problems.
        dtype: Type of the models' weights. None for their default.
        tokenizer: Tokenizer of a server's policy. None for the default.
        ppm_folder: Folder or name of a server's PPM. None for the default.

    Raises:
        ConfigError: The name of a model has not the form that it should have.
    """
    search = config.to_dict()
    del search["max_active"]
    of_servers = {"tokenizer": tokenizer, "ppm_folder": ppm_folder}
    return {
        "policy": parse_model_name(policy).recorded,
        "ppm": ppm and parse_model_name(ppm).recorded,
        "dtype": dtype,
        **{name: _absolute(value) for name, value in of_servers.items() if value is not None},
        "problems": _absolute(problems),
        "search": search,
    }


def search_to_folder(
    searcher: Searcher, problems: Iterable[Problem], folder: RunFolder
) -> Generator[Tree | Failure, None, None]:
    """Search the problems that have no tree in the folder yet.

    Each ended one is on disk before it is yielded.

    What engines tell the trees under way is written too, within a second. A search that goes on in
    the folder takes these trees up where they were.

    At the end, also at an early one, the folder gets a record of the session: how it ended, which
    engines answered, and `Stats.record`.

    Args:
        searcher: Searcher with its engines.
        problems: All problems of the run, including those that are done. May be lazy.
        folder: Run folder that is open for writing.

    Raises:
        StoreError: A stored tree has another question than the problem with its id, or the disk
            refuses.
    """
    ended_by = "done"
    trees = failures = 0
    try:
        recording = Recording(folder.checkpoints)
        with closing(searcher.search(_not_done(problems, folder), recording)) as search:
            for ended in search:
                if isinstance(ended, Tree):
                    folder.append(ended)
                    trees += 1
                else:
                    folder.fail(ended)
                    failures += 1
                recording.end(ended.problem.key)
                yield ended
    except BaseException as error:
        stopped = isinstance(error, GeneratorExit | KeyboardInterrupt)
        ended_by = "stopped" if stopped else described(error)
        raise
    finally:
        record = {"ended": ended_by, "trees": trees, "failures": failures}
        folder.end_session({**record, "engines": _engines(searcher), **searcher.stats.record()})


def _engines(searcher: Searcher) -> dict[str, dict[str, Any]]:
    """Return what the policy and the PPM are, as far as they say."""
    found = {}
    for role, engine in (("policy", searcher.policy), ("ppm", searcher.scorer)):
        identity = getattr(engine, "identity", None)
        if isinstance(identity, Identity):
            found[role] = identity.record()
        elif engine is not None:
            found[role] = {"engine": type(engine).__name__, "model": str(engine.name)}
            if (version := getattr(engine, "engine_version", None)) is not None:
                found[role]["version"] = str(version)
    return found


def _not_done(problems: Iterable[Problem], folder: RunFolder) -> Iterator[Problem]:
    for problem in problems:
        folder.check([problem])
        if problem.key not in folder.done:
            yield problem


@dataclass(slots=True)
class Totals:
    """Counts over the problems of a run.

    Attributes:
        trees: Number of problems that were searched to the end.
        failures: Number of problems whose search failed.
        graded: Number of trees whose problem has an accepted answer. The next three count among
            these.
        solved: Number of trees with any correct answer.
        best_correct: Number of trees whose chosen answer (`Tree.best`) is correct.
        majority_correct: Number of trees whose most frequent answer (`Tree.majority`) is correct.
        unsure: Number of final answers whose grade is unsure.
        nodes: Number of nodes of all trees, without the roots.
        generated_tokens: Number of tokens generated for all trees.
    """

    trees: int = 0
    failures: int = 0
    graded: int = 0
    solved: int = 0
    best_correct: int = 0
    majority_correct: int = 0
    unsure: int = 0
    nodes: int = 0
    generated_tokens: int = 0

    def add(self, ended: Tree | TreeSummary | Failure) -> None:
        """Count one more problem."""
        if isinstance(ended, Failure):
            self.failures += 1
            return
        tree = TreeSummary.of(ended) if isinstance(ended, Tree) else ended
        self.trees += 1
        self.nodes += tree.nodes
        self.generated_tokens += tree.tokens
        if tree.expected is not None:
            self.graded += 1
            self.solved += tree.solved
            self.best_correct += bool(tree.best_correct)
            self.majority_correct += tree.majority_correct
            self.unsure += tree.unsure


def _absolute(name: str) -> str:
    """Return the absolute path of something on disk, and any other name unchanged."""
    return str(Path(name).resolve()) if Path(name).exists() else name
