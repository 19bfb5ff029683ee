"""How fast does `TransformersPolicy` write the candidates of a tree search?

    python bench/decode.py [--quick] [--policy DIR] [--n 8] [--problems 8] [--depth 3]
    python bench/decode.py --policy DIR --dtypes float32 bfloat16 int8

It is compared with `model.generate` of the same model on the same expansions. The work is that of a
tree search: `n` candidates after the prompt of every problem, then after the first steps of a
solution, level by level. Both sides have the same prefixes, sampling, stop marks and limit of
tokens. A candidate's tokens count up to its stop mark. `generate` runs in two ways: with one
expansion a call (`num_return_sequences=n`), and with a whole level a call, padded on the left.

With `--dtypes`, the policy in these number types is compared with the policy in the stored one, in
place of `generate`.

The sides take turns, and the results are medians of the repeats. The bench prints a card, a table
and, as the last line, one JSON document.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from lib.card import print_card
from lib.device_speed import peak_memory_bytes
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from rstar_fast.embedded import held_out_problems, policy_path
from rstar_fast.models import DTYPES, INT8
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy import Candidate, ExpandRequest, Sampling, TransformersPolicy
from rstar_fast.prompts import make_prompt
from rstar_fast.steps import Segment

Level = list[ExpandRequest]
OURS = "TransformersPolicy"


def main() -> None:
    """Check the options, measure all sides and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--policy",
        default=str(policy_path()),
        help="a model folder or hub name (default: the embedded model)",
    )
    parser.add_argument(
        "--prompt",
        choices=["finetuned", "few_shot"],
        help="form of the prompt (default: few_shot with --policy, else finetuned)",
    )
    parser.add_argument("--n", type=int, default=8, help="candidates per expansion")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3, help="levels of the trees")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--max-rows", type=int, help="default: as a search has it")
    parser.add_argument(
        "--dtypes", nargs="+", choices=[*DTYPES, INT8], help="number types to compare"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, help="torch threads (default: 1 for the embedded model)"
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    if args.quick:
        args.problems, args.depth, args.repeats = min(args.problems, 4), min(args.depth, 2), 1
    embedded = args.policy == str(policy_path())
    if args.threads or embedded:
        torch.set_num_threads(args.threads or 1)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    prompt = args.prompt or ("finetuned" if embedded else "few_shot")
    # A search runs the embedded model in float32 and any other in the stored type.
    model = AutoModelForCausalLM.from_pretrained(
        args.policy, dtype=torch.float32 if embedded else "auto"
    ).eval()

    def policy_in(dtype: torch.dtype | str) -> TransformersPolicy:
        return TransformersPolicy(args.policy, dtype=dtype, prompt=prompt, max_rows=args.max_rows)

    policy = policy_in(model.dtype)
    model.to(policy.device)
    sampling = Sampling(temperature=args.temperature, top_p=args.top_p, max_tokens=args.max_tokens)
    levels = tree_work(policy, args.problems, args.depth, args.n, sampling)
    sides: dict[str, Callable[[], int]] = {OURS: lambda: run_policy(policy, levels)}
    if args.dtypes:
        for dtype in args.dtypes:
            sides[f"{OURS}, {dtype}"] = partial(run_policy, policy_in(dtype), levels)
    else:
        generate = Generate(model, args.policy, prompt)
        sides["generate, one expansion a call"] = lambda: sum(
            generate([request]) for level in levels for request in level
        )
        sides["generate, one level a call"] = lambda: sum(generate(level) for level in levels)
        generate([levels[0][0]])
    print_card(
        policy=Path(args.policy).name,
        dtype=model.dtype,
        threads=torch.get_num_threads(),
        sampling=f"temperature {sampling.temperature}, top_p {sampling.top_p}, "
        f"at most {sampling.max_tokens} tokens",
        work=f"{sum(map(len, levels))} expansions of {args.n} candidates in {args.depth} levels, "
        f"{args.problems} problems",
    )
    rates: dict[str, list[Rate]] = {name: [] for name in sides}
    for _ in range(args.repeats):
        for name, side in sides.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            tokens = side()
            rates[name].append(
                Rate(
                    tokens / (time.perf_counter() - begin),
                    tokens / (time.process_time() - begin_cpu),
                )
            )
    report(rates, policy)


class Rate(NamedTuple):
    """A rate of tokens.

    Attributes:
        wall: Tokens per second of wall time.
        cpu: Tokens per second of processor time, which other programs disturb less.
    """

    wall: float
    cpu: float


class Generate:
    """`model.generate` as a search would use it.

    Args:
        model: Model to call.
        source: Folder or hub name of its tokenizer.
        prompt: Form of the prompt.
    """

    def __init__(self, model: PreTrainedModel, source: str, prompt: str) -> None:
        self.model = model
        self.tokenizer = load_tokenizer(source)
        self.tokenizer.padding_side = "left"
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self.prompt = prompt

    def __call__(self, requests: Level) -> int:
        """Answer requests in one call. Returns the number of tokens written."""
        sampling, n = requests[0].sampling, requests[0].num_candidates
        texts = [
            make_prompt(self.prompt, r.question) + "".join(s.text for s in r.path) for r in requests
        ]  # type: ignore[arg-type]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True).to(self.model.device)
        with torch.inference_mode():
            output = self.model.generate(  # type: ignore[operator]
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=True,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=0,
                max_new_tokens=sampling.max_tokens,
                num_return_sequences=n,
                stop_strings=list(sampling.stop),
                tokenizer=self.tokenizer,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        written = output[:, inputs["input_ids"].shape[1] :]
        return int((written != self.tokenizer.pad_token_id).sum())


def tree_work(
    policy: TransformersPolicy, problems: int, depth: int, n: int, sampling: Sampling
) -> list[Level]:
    """Return the expansions of a tree search, level by level.

    Each level continues the first candidate of the level above that ends a step.
    """
    level = [
        ExpandRequest(i, p.id, 0, p.question, (), n, 0, sampling)
        for i, p in enumerate(held_out_problems(problems))
    ]
    levels = []
    for at in range(depth):
        levels.append(level)
        answers = decode(policy, level)
        level = [
            ExpandRequest(
                r.id, r.problem_id, at + 1, r.question, (*r.path, segment(chosen)), n, 0, sampling
            )
            for r in level
            if (
                chosen := next((c for c in answers[r.id] if c.text.endswith("<end_of_step>")), None)
            )
        ]
    return [level for level in levels if level]


def segment(candidate: Candidate) -> Segment:
    """Return a candidate as part of a path."""
    return Segment(candidate.text, candidate.token_ids if candidate.exact else None)


def decode(policy: TransformersPolicy, requests: Level) -> dict[int, tuple[Candidate, ...]]:
    """Return the candidates of requests, by the requests' ids."""
    policy.add(requests)
    done = {}
    while policy.pending:
        for expansion in policy.step():
            if expansion.error:
                raise SystemExit(f"expansion {expansion.request_id}: {expansion.error}")
            done[expansion.request_id] = expansion.candidates
    return done


def run_policy(policy: TransformersPolicy, levels: list[Level]) -> int:
    """Answer the levels one after the other, with an empty prefix store at the beginning.

    Returns:
        Number of tokens written.
    """
    policy.update(0)
    before = policy.stats.generated_tokens
    for level in levels:
        decode(policy, level)
    return policy.stats.generated_tokens - before


def report(rates: dict[str, list[Rate]], policy: TransformersPolicy) -> None:
    """Print the table and the JSON document."""
    wall = {name: statistics.median(rate.wall for rate in values) for name, values in rates.items()}
    cpu = {name: statistics.median(rate.cpu for rate in values) for name, values in rates.items()}
    print(
        f"\n{'':34}{'tokens/s':>10}{'min':>10}{'max':>10}{'ours is':>10}"
        f"{'tokens/cpu s':>14}{'ours is':>10}"
    )
    for name, values in rates.items():
        spread = (
            f"{min(rate.wall for rate in values):10.1f}{max(rate.wall for rate in values):10.1f}"
        )
        by_wall, by_cpu = f"{wall[OURS] / wall[name]:9.2f}x", f"{cpu[OURS] / cpu[name]:9.2f}x"
        print(f"{name:34}{wall[name]:10.1f}{spread}{by_wall}{cpu[name]:14.1f}{by_cpu}")
    stats = policy.stats
    print(f"\nprefix tokens: {stats.encoded_tokens} encoded, {stats.reused_tokens} reused")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    document = {
        "tokens_per_s": wall,
        "tokens_per_cpu_s": cpu,
        "speedup": {name: wall[OURS] / rate for name, rate in wall.items() if name != OURS},
        "speedup_cpu": {name: cpu[OURS] / rate for name, rate in cpu.items() if name != OURS},
        "encoded_tokens": stats.encoded_tokens,
        "reused_tokens": stats.reused_tokens,
        "peak_memory_gib": peak,
        "peak_gpu_memory_bytes": peak_memory_bytes(),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
