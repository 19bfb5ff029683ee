"""What do the engines make of the same search: transformers, vLLM, and servers?

    python bench/engines.py [--quick] [--problems 60] [--rollouts 2] [--candidates 4]
    python bench/engines.py --policy DIR --source FILE [--prompt few_shot] [--set max_depth=6] ...
    python bench/engines.py --only "TransformersPolicy, int8" VLLMPolicy PackedScorer VLLMScorer ...

It runs in the environment of `make test-engines`, and leaves out engines that are not installed,
saying so. The embedded policy searches the same held-out problems with the same seed by each
engine. Draws differ between engines, so the trees do. The PPM is the embedded one by PackedScorer.
Then every tree of the first search is scored by each scorer, a set of siblings a request. All
weights are in float32, but for those of the int8 row.

With `--policy` another model searches the problems of a file. Known answers guide the search, and
the scorers' PPM is that model with a random head. llama.cpp takes part if the model is a Qwen2 or a
Llama.

Processor time is that of this process and of the server; it has the search's own in it. The cached
share is the part of an engine's prefix tokens that came from its cache. `TransformersPolicy` reads
a prefix once per expansion, the others once per candidate.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lib.card import print_card
from lib.vllm_server import vllm_server

from rstar_fast.cli.options import parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.embedded import held_out_problems, policy_path, ppm_path
from rstar_fast.policy import ServerPolicy, TransformersPolicy, VLLMPolicy
from rstar_fast.ppm import PPM, PackedScorer, ScoreRequest, ServerScorer, VLLMScorer
from rstar_fast.problems import read_sources
from rstar_fast.search import Searcher
from rstar_fast.search.searcher import step_runner
from rstar_fast.steps import Segment
from rstar_fast.tree import Tree, children_of
from rstar_fast.verify.grade.by_source import SourceVerifier

_SUPPORT = Path(__file__).parent.parent / "tests" / "support"
_WAIT_S = 600
Engine = tuple[Any, int | None]


def main() -> None:
    """Search by every engine, score by every scorer, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--rollouts", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="6 problems")
    parser.add_argument("--policy", type=Path, help="folder of another policy")
    parser.add_argument("--source", help="its problems: a file or another source")
    parser.add_argument("--prompt", default="few_shot", help="its prompt (few_shot)")
    parser.add_argument("--set", nargs="+", default=[], help="changes to the search")
    parser.add_argument("--only", nargs="+", help="policies and scorers to measure (all)")
    args = parser.parse_args()
    if (args.policy is None) != (args.source is None):
        parser.error("--policy and --source: expected both or none")
    torch.set_num_threads(1)
    count = 6 if args.quick else args.problems
    config = SearchConfig(rollouts=args.rollouts, candidates=args.candidates)
    config = config.with_changes(**parse_settings(args.set))
    policy_folder = args.policy or policy_path()
    if args.policy is None:
        # One problem more, to warm up.
        problems = list(held_out_problems(count + 1))
    else:
        problems = read_sources([args.source])[: count + 1]
        config = config.with_changes(
            use_scores=False, annotate_terminals_with_ground_truth=True, prompt=args.prompt
        )
    print_card(
        policy=policy_folder,
        problems=len(problems) - 1,
        rollouts=config.rollouts,
        candidates=config.candidates,
    )
    found: dict[str, Any] = {"policies": {}, "scorers": {}, "missing": []}
    trees: list[Tree] = []
    with TemporaryDirectory() as folder:
        ppm_folder = Path(folder) / "ppm" if args.policy else ppm_path()
        policies = engines(policy_folder, config, Path(folder), found["missing"])
        judges = scorers(ppm_folder, Path(folder))
        known = [*policies, *judges]
        only = known if args.only is None else args.only
        if unknown := [name for name in only if name not in known]:
            parser.error(f"--only: expected some of {'; '.join(known)}, got {'; '.join(unknown)}")
        for name in filter(only.__contains__, policies):
            with policies[name]() as (policy, process):
                row, grown = searched(policy, process, config, problems)
            found["policies"][name] = row
            trees = trees or grown
            print_row(name, row)
        requests = [request for tree in trees for request in siblings(tree)]
        expected: np.ndarray | None = None
        for name in filter(only.__contains__, judges):
            if not ppm_folder.exists():
                PPM.from_policy(args.policy, dtype=torch.float32).save_pretrained(ppm_folder)
            with judges[name]() as (scorer, process):
                row, values = scored(scorer, process, requests)
            expected = values if expected is None else expected
            row["worst_difference"] = float(np.abs(values - expected).max())
            found["scorers"][name] = row
            print_row(name, row)
    for name in found["missing"]:
        print(f"{name}: not at hand, left out")
    print(json.dumps(found))


def engines(
    model: Path, config: SearchConfig, folder: Path, missing: list[str]
) -> dict[str, Callable[[], Any]]:
    """Return what opens each policy with the process of its server."""

    @contextmanager
    def transformers(dtype: str) -> Iterator[Engine]:
        yield TransformersPolicy(model, dtype=dtype, device="cpu", prompt=config.prompt), None

    @contextmanager
    def vllm() -> Iterator[Engine]:
        policy = VLLMPolicy(model, dtype="float32", cache_bytes=1 << 30, prompt=config.prompt)
        yield policy, None
        policy.close()

    @contextmanager
    def vllm_serving() -> Iterator[Engine]:
        details = "--enable-prompt-tokens-details"
        with vllm_server(model, "small", details, log=folder / "log") as (address, process):
            policy = ServerPolicy(address + "/v1", "small", tokenizer=model)
            yield policy, process.pid
            policy.close()

    @contextmanager
    def llama() -> Iterator[Engine]:
        sys.path.append(str(_SUPPORT))
        from gguf_models import write_gguf
        from llama_server import llama_server

        write_gguf(model, folder / "small.gguf")
        with llama_server(folder / "small.gguf") as (address, process):
            policy = ServerPolicy(address, tokenizer=model, concurrency=8)
            yield policy, process.pid
            policy.close()

    found: dict[str, Callable[[], Any]] = {
        "TransformersPolicy": partial(transformers, "float32"),
        "TransformersPolicy, int8": partial(transformers, "int8"),
    }
    if find_spec("vllm"):
        found |= {"VLLMPolicy": vllm, "ServerPolicy, vLLM": vllm_serving}
    else:
        missing.append("vLLM")
    known = json.loads((model / "config.json").read_text())["model_type"] in ("qwen2", "llama")
    if known and find_spec("xllamacpp") and find_spec("gguf"):
        found["ServerPolicy, llama.cpp"] = llama
    else:
        missing.append("llama.cpp" if known else "llama.cpp (for this model)")
    return found


def scorers(ppm: Path, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return what opens each scorer with the process of its server."""

    @contextmanager
    def packed() -> Iterator[Engine]:
        yield PackedScorer(PPM.from_pretrained(ppm, device="cpu", dtype="float32")), None

    @contextmanager
    def vllm() -> Iterator[Engine]:
        scorer = VLLMScorer(ppm, cache_bytes=256 << 20)
        yield scorer, None
        scorer.close()

    @contextmanager
    def vllm_serving() -> Iterator[Engine]:
        words = ("--runner", "pooling", "--pooler-config", '{"task":"classify"}')
        with vllm_server(ppm, "ppm", *words, log=folder / "log") as (address, process):
            scorer = ServerScorer(address + "/v1", "ppm", ppm)
            yield scorer, process.pid
            scorer.close()

    found: dict[str, Callable[[], Any]] = {"PackedScorer": packed}
    if find_spec("vllm"):
        found |= {"VLLMScorer": vllm, "ServerScorer, vLLM": vllm_serving}
    return found


def searched(
    policy: Any, process: int | None, config: SearchConfig, problems: list[Any]
) -> tuple[dict[str, Any], list[Tree]]:
    """Search all but the last problem, and return what it took and the trees."""
    scorer = None
    if config.use_scores:
        scorer = PackedScorer(PPM.from_pretrained(ppm_path(), device="cpu", dtype="float32"))
    with ExitStack() as stack:
        runner = stack.enter_context(step_runner(config, 1, False))
        verifier = stack.enter_context(SourceVerifier(limit_s=config.grade_limit_s))
        searcher = stack.enter_context(
            Searcher(policy, config, scorer, runner=runner, verifier=verifier)
        )
        # What is compiled or allocated at the first call is none of the search.
        list(searcher.search(problems[-1:]))
        before = (policy.stats.generated_tokens, policy.stats.encoded_tokens)
        reused = policy.stats.reused_tokens
        started, began = time.perf_counter(), cpu_s(process)
        trees = [tree for tree in searcher.search(problems[:-1]) if isinstance(tree, Tree)]
        wall_s, spent_s = time.perf_counter() - started, cpu_s(process) - began
        used = searcher.stats.record()["resources"]["policy"]
    tokens = policy.stats.generated_tokens - before[0]
    encoded, reused = policy.stats.encoded_tokens - before[1], policy.stats.reused_tokens - reused
    row = {
        "solved": sum(tree.solved for tree in trees),
        "tokens": tokens,
        "tokens_per_s": tokens / wall_s,
        "tokens_per_cpu_s": tokens / spent_s,
        "cached_share": reused / max(1, reused + encoded),
        "encoded_per_expansion": encoded / used["requests"],
        "mean_open": used["mean_open"],
        "idle_share": used["starved_s"] / wall_s,
    }
    return row, trees


def siblings(tree: Tree) -> Iterator[ScoreRequest]:
    """Yield a request for each set of siblings of a tree."""
    for parent, children in enumerate(children_of(tree.nodes)):
        if not children:
            continue
        path = tree.path(parent)
        yield ScoreRequest(
            0,
            tree.problem.key,
            parent,
            tree.problem.question,
            tuple(Segment(node.text) for node in path),
            tuple(node.text for node in children),
            tuple(node.logprob_bytes for node in path),
            tuple(node.logprob_bytes for node in children),
        )


def scored(
    scorer: Any, process: int | None, requests: list[ScoreRequest]
) -> tuple[dict[str, Any], np.ndarray]:
    """Score some requests in batches of 32, and return what it took and the scores."""
    began, started, values = cpu_s(process), time.perf_counter(), []
    for i in range(0, len(requests), 32):
        batch = requests[i : i + 32]
        if hasattr(scorer, "submit"):
            answers = [future.result(_WAIT_S) for future in list(map(scorer.submit, batch))]
        else:
            answers = scorer.score(batch)
        for answer in answers:
            assert answer.error is None, answer.error
            values += list(answer.values)
    wall_s, spent_s = time.perf_counter() - started, cpu_s(process) - began
    row: dict[str, Any] = {
        "nodes": len(values),
        "nodes_per_s": len(values) / wall_s,
        "nodes_per_cpu_s": len(values) / spent_s,
    }
    if hasattr(scorer, "stats"):
        row["encoded_tokens"] = scorer.stats.encoded_tokens
    return row, np.array(values)


def cpu_s(process: int | None) -> float:
    """Return the processor time of this process, and of another with its children."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = time.process_time()
    for pid in [] if process is None else _family(process):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(pid) for file in children for pid in file.read_text().split()]
    return [process, *(pid for child in below for pid in _family(child))]


def print_row(name: str, row: dict[str, Any]) -> None:
    """Print a row of the table."""
    shown = (
        f"{key} {value:,.3g}" if isinstance(value, float) else f"{key} {value:,}"
        for key, value in row.items()
    )
    print(f"{name:26}" + ", ".join(shown), flush=True)


if __name__ == "__main__":
    main()
