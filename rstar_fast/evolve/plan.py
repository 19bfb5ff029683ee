"""From a configuration to the stages of a self-evolution, in an order in which they can be done."""

from typing import Any

from rstar_fast.config import SearchConfig
from rstar_fast.data import SearchAgain
from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.stage import Stage

GREEDY = SearchConfig.preset("greedy")
_SEEDS_PER_ROUND = 1000
_EVALUATION_SEED = 999_000
"""Far from those of any round's searches."""


def plan(config: EvolveConfig) -> list[Stage]:
    """All stages; each needs only earlier ones."""
    stages = [_greedy(config, 0, config.bootstrap_policy)]
    for number in range(1, len(config.rounds) + 1):
        data = _searches(config, number)
        stages += [*data, *_models(config, number, data), *_evaluation(config, number)]
    return stages


def training_first(stages: list[Stage]) -> list[Stage]:
    """The same stages; what measures a round comes behind the next policy, to fill the cores while that is trained alone."""
    ahead: set[str] = set()
    for stage in reversed(stages):
        if stage.kind == "policy" or stage.name in ahead:
            ahead |= {stage.name, *stage.needs}

    def turn(stage: Stage) -> tuple[int, bool]:
        later = stage.name not in ahead
        return int(stage.name.partition("/")[0].removeprefix("round-")) + later, later

    return sorted(stages, key=turn)


def _searches(config: EvolveConfig, number: int) -> list[Stage]:
    """The searches of a round, split into parts by problem."""
    this = config.rounds[number - 1]
    policy = config.bootstrap_policy if number == 1 else f"round-{number - 1}/policy"
    stages: list[Stage] = []
    plans: list[tuple[str, SearchConfig, SearchAgain | None]]
    plans = [(f"search-{i}", search, None) for i, search in enumerate(this.searches)]
    plans += [
        (f"again-{i}", this.searches[0].with_changes(rollouts=rule.rollouts), rule)
        for i, rule in enumerate(this.again)
    ]
    for place, (name, search, rule) in enumerate(plans):
        done = tuple(stage.name for stage in stages)
        for part in range(config.parts):
            options: dict[str, Any] = {
                "policy": policy,
                "ppm": f"round-{number - 1}/ppm" if search.use_scores else None,
                "problems": ["problems", "synthetic"],
                "search": search.with_changes(
                    seed=config.seed + _SEEDS_PER_ROUND * number + place
                ).to_dict(),
                "part": [part, config.parts],
            }
            if rule:
                options |= {"difficulties": list(rule.difficulties), "over": list(done)}
            needs = _models_of(options) + (done if rule else ())
            stages.append(Stage(f"round-{number}/{name}/part-{part}", "search", options, needs))
    return stages


def _models(config: EvolveConfig, number: int, searches: list[Stage]) -> list[Stage]:
    """Data, policy and PPM of a round."""
    data, policy = f"round-{number}/data", f"round-{number}/policy"
    names = tuple(stage.name for stage in searches)
    kept = {"keep": f"round-{number - 1}/data"} if config.keep_solutions and number > 1 else {}
    learnt = [f"round-{n}/data" for n in range(1 if config.earlier_rounds else number, number + 1)]
    return [
        Stage(data, "data", {"searches": list(names), **kept}, (*names, *kept.values())),
        Stage(policy, "policy", {"data": data}, (data,)),
        *(
            Stage(
                f"round-{number}/{name}",
                "ppm",
                {"data": learnt, "policy": policy, "objective": name},
                (*learnt, policy),
            )
            for name in _objectives(config)
        ),
    ]


def _objectives(config: EvolveConfig) -> tuple[str, ...]:
    return ("ppm", "orm", "pqm") if config.evaluate.baselines else ("ppm",)


def _evaluation(config: EvolveConfig, number: int) -> list[Stage]:
    """What is measured on held-out problems."""
    round_, how = f"round-{number}", config.evaluate
    policy, ppm = f"{round_}/policy", f"{round_}/ppm"
    sampling = how.search.with_changes(
        strategy="best_of_n", candidates=how.samples, use_scores=False
    )
    stages = [
        _greedy(config, number, policy),
        _measure(config, f"{round_}/samples", policy, None, sampling, 1, how.problems),
        _measure(config, f"{round_}/searches", policy, ppm, how.search, how.searches, how.problems),
    ]
    first_policy = f"{round_}/first-policy" if number > 1 and how.baselines else None
    if first_policy:
        stages.append(
            _measure(
                config, first_policy, "round-1/policy", ppm, how.search, how.searches, how.problems
            )
        )
    scorers = [f"{round_}/{objective}" for objective in _objectives(config)]
    reads: dict[str, Any] = {
        "greedy": f"{round_}/greedy",
        "samples": f"{round_}/samples",
        "searches": f"{round_}/searches",
        "first_policy": first_policy,
        "scorers": scorers,
        "pairs": [f"{round_}/data", "round-1/data"],
    }
    needs = {*(stage.name for stage in stages), *scorers, *reads["pairs"]}
    return [*stages, Stage(f"{round_}/results", "results", reads, tuple(sorted(needs)))]


def _greedy(config: EvolveConfig, number: int, policy: str) -> Stage:
    search = GREEDY.with_changes(**_shared(config, number))
    options = _options(policy, None, search, 1, config.evaluate.greedy)
    return Stage(f"round-{number}/greedy", "search", options, _models_of(options))


def _measure(
    config: EvolveConfig,
    name: str,
    policy: str,
    ppm: str | None,
    search: SearchConfig,
    copies: int,
    problems: int,
) -> Stage:
    search = search.with_changes(seed=config.seed + _EVALUATION_SEED, prompt="finetuned")
    options = _options(policy, ppm, search, copies, problems)
    return Stage(name, "search", options, _models_of(options))


def _options(
    policy: str, ppm: str | None, search: SearchConfig, copies: int, problems: int
) -> dict[str, Any]:
    return {
        "policy": policy,
        "ppm": ppm,
        "problems": ["held_out"],
        "first": problems,
        "search": search.to_dict(),
        "copies": copies,
    }


def _shared(config: EvolveConfig, number: int) -> dict[str, Any]:
    """What a policy alone is run with: its round's limits, and the bootstrap policy's prompt."""
    search = config.rounds[max(number, 1) - 1].searches[0]
    names = (
        "max_depth",
        "max_step_tokens",
        "observation",
        "wall_limit_s",
        "memory_limit_mb",
        "max_active",
    )
    return {name: getattr(search, name) for name in names} | {
        "prompt": search.prompt if number == 0 else "finetuned"
    }


def _models_of(options: dict[str, Any]) -> tuple[str, ...]:
    """The stages that train the models which a search uses."""
    return tuple(
        name for name in (options["policy"], options["ppm"]) if name and name.startswith("round-")
    )
