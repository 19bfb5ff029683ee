"""The plan: all stages of a self-evolution, in an order in which they can be done."""

from typing import TYPE_CHECKING

from rstar_fast.config import SearchConfig
from rstar_fast.evaluate.run import independent
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.stage import (
    DataStage,
    PolicyStage,
    PPMStage,
    ResultsStage,
    RowsStage,
    SearchStage,
    Stage,
)

if TYPE_CHECKING:
    from rstar_fast.training.objectives import Objective

PLAIN = "plain"
"""Name of a PPM without the policy's likelihood."""
GREEDY = SearchConfig.preset("greedy")
_SEEDS_PER_ROUND = 1000
# Far from the seeds of any round's searches.
_EVALUATION_SEED = 999_000


def plan(config: EvolveConfig) -> list[Stage]:
    """Return all stages. Each needs only earlier ones."""
    stages: list[Stage] = [_greedy(config, 0)]
    for number in range(1, len(config.rounds) + 1):
        searches = _searches(config, number)
        stages += [*searches, *_training(config, number, searches), *_evaluation(config, number)]
    return stages


def training_first(stages: list[Stage]) -> list[Stage]:
    """Return the stages in an order that keeps all cores busy.

    Whatever the next policy does not need (the PPM's training and the measurements of a round)
    comes after that policy. It fills the cores while the policy trains alone.
    """
    ahead: set[str] = set()
    for stage in reversed(stages):
        if isinstance(stage, PolicyStage) or stage.name in ahead:
            ahead |= {stage.name, *stage.needs}

    def turn(stage: Stage) -> tuple[int, bool]:
        later = stage.name not in ahead
        return stage.round_number + later, later

    return sorted(stages, key=turn)


def greedy_search(config: EvolveConfig, number: int) -> SearchConfig:
    """Return the search of a round's policy alone: the limits of its round, the prompt it knows."""
    search = config.rounds[max(number, 1) - 1].searches[0]
    names = (
        "max_depth",
        "max_step_tokens",
        "observation",
        "wall_limit_s",
        "memory_limit_mb",
        "max_active",
    )
    limits = {name: getattr(search, name) for name in names}
    return GREEDY.with_changes(**limits, prompt=search.prompt if number == 0 else "finetuned")


def _searches(config: EvolveConfig, number: int) -> list[SearchStage]:
    """Return the searches of a round, each split into parts by problem."""
    this = config.rounds[number - 1]
    searches = [(f"search-{i}", search, None) for i, search in enumerate(this.searches)]
    again = [
        (f"again-{i}", this.searches[0].with_changes(rollouts=rule.rollouts), rule)
        for i, rule in enumerate(this.again)
    ]
    stages: list[SearchStage] = []
    for place, (name, search, rule) in enumerate([*searches, *again]):
        seed = config.seed + _SEEDS_PER_ROUND * number + place
        before = tuple(stage.name for stage in stages)
        stages += [
            SearchStage(
                f"round-{number}/{name}/part-{part}",
                policy=_policy_after(config, number - 1),
                policy_is_trained=number > 1,
                ppm=f"round-{number - 1}/ppm" if search.use_scores else None,
                problems=("problems", "synthetic"),
                search=search.with_changes(seed=seed),
                part=(part, config.parts),
                difficulties=rule.difficulties if rule else None,
                over=before if rule else (),
            )
            for part in range(config.parts)
        ]
    return stages


def _training(config: EvolveConfig, number: int, searches: list[SearchStage]) -> list[Stage]:
    """Return the stages that make a round's data and train its models."""
    keeps = config.keep_solutions and number > 1
    data = DataStage(
        f"round-{number}/data",
        searches=tuple(stage.name for stage in searches),
        keep=f"round-{number - 1}/data" if keeps else None,
    )
    policy = PolicyStage(f"round-{number}/policy", data=data.name)
    first = 1 if config.earlier_rounds else number
    learnt = tuple(f"round-{n}/data" for n in range(first, number + 1))
    rows = RowsStage(
        f"round-{number}/rows",
        learnt,
        policy.name,
        first="round-1/data",
        trajectories=_has_baselines(config, number),
    )
    scorers = [
        PPMStage(f"round-{number}/{name}", rows.name, policy.name, objective, name == PLAIN)
        for name, objective in _scorers(config, number).items()
    ]
    return [data, policy, rows, *scorers]


def _evaluation(config: EvolveConfig, number: int) -> list[Stage]:
    """Return the stages that measure a round's models on held-out problems."""
    how = config.evaluate
    policy, ppm = _policy_after(config, number), f"round-{number}/ppm"
    draws = independent(how.search, how.samples)
    greedy = _greedy(config, number)
    samples = _measurement(config, f"round-{number}/samples", policy, None, draws, 1)
    searches = _measurement(
        config, f"round-{number}/searches", policy, ppm, how.search, how.searches
    )
    stages = [greedy, samples, searches]
    first_policy = (
        f"round-{number}/first-policy" if number > 1 and _has_baselines(config, number) else None
    )
    if first_policy:
        weak = _policy_after(config, 1)
        stages.append(_measurement(config, first_policy, weak, ppm, how.search, how.searches))
    results = ResultsStage(
        f"round-{number}/results",
        greedy=greedy.name,
        samples=samples.name,
        searches=searches.name,
        first_policy=first_policy,
        scorers=tuple(f"round-{number}/{name}" for name in _scorers(config, number)),
        pairs=f"round-{number}/rows",
    )
    return [*stages, results]


def _policy_after(config: EvolveConfig, number: int) -> str:
    """Return the name of a round's policy: its stage, or for round 0 the bootstrap policy."""
    return f"round-{number}/policy" if number else config.bootstrap_policy


def _has_baselines(config: EvolveConfig, number: int) -> bool:
    """Return whether a round is compared with an ORM, a PQM and the first round's policy."""
    which = config.evaluate.baselines
    return which == "all" or (which == "last" and number == len(config.rounds))


def _scorers(config: EvolveConfig, number: int) -> "dict[str, Objective]":
    """Return the objectives of a round's scorers by their names, the PPM's first.

    A PPM that uses the policy's likelihood is compared with one that does not, the paper's.
    """
    scorers: dict[str, Objective] = {"ppm": "ppm"}
    if _has_baselines(config, number):
        scorers |= {"orm": "orm", "pqm": "pqm"}
        if config.ppm.likelihood:
            scorers[PLAIN] = "ppm"
    return scorers


def _greedy(config: EvolveConfig, number: int) -> SearchStage:
    """Return the measurement of a round's policy alone."""
    return SearchStage(
        f"round-{number}/greedy",
        policy=_policy_after(config, number),
        policy_is_trained=number > 0,
        problems=("held_out",),
        first=config.evaluate.greedy,
        search=greedy_search(config, number),
        copies=1,
    )


def _measurement(
    config: EvolveConfig,
    name: str,
    policy: str,
    ppm: str | None,
    search: SearchConfig,
    copies: int,
) -> SearchStage:
    """Return a search of held-out problems by trained models."""
    return SearchStage(
        name,
        policy=policy,
        ppm=ppm,
        problems=("held_out",),
        first=config.evaluate.problems,
        search=search.with_changes(seed=config.seed + _EVALUATION_SEED, prompt="finetuned"),
        copies=copies,
        tokens=max(config.evaluate.budgets, default=None),
    )
