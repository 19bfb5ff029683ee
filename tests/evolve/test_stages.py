"""What the stages of a round make, and what stops them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evolve_options import do_all, options, options_of
from transformers.integrations import is_tensorboard_available

from rstar_fast.config import SearchConfig
from rstar_fast.data import merged, read_rows, share_correct, write_rows
from rstar_fast.data.trajectories import step_logprob
from rstar_fast.errors import ConfigError, DataError, PolicyError, RStarError
from rstar_fast.evaluate import path_samples
from rstar_fast.evaluate.run import by_problem
from rstar_fast.evolve import EvolveConfig, process, searching
from rstar_fast.evolve.context import Context
from rstar_fast.evolve.folders import read_trees
from rstar_fast.evolve.making_data import is_measured, make_data
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.metrics import Method, PairOrder
from rstar_fast.evolve.plan import plan
from rstar_fast.evolve.problems import problems_of
from rstar_fast.evolve.report import write_report
from rstar_fast.evolve.scorer_rows import make_rows
from rstar_fast.evolve.stage import DataStage, RowsStage, SearchStage
from rstar_fast.evolve.summary import summarize
from rstar_fast.evolve.times import seconds_by_kind, time_rows
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.store.config_file import write_config
from rstar_fast.training.policy_logprobs import policy_logprobs

SOURCES = ("search", "ppm", "orm", "pqm", "plain", "judged")
"""Sources of the answers that a round's results stage counts."""


def test_a_round_makes_models_and_results(finished: Path) -> None:
    run = finished / "run"
    before, first = summarize(run)
    assert before.accuracy[Method.POLICY].trials == 4 and first.solved and first.solved.trials == 8
    assert set(first.accuracy) == set(Method) - {Method.FIRST_POLICY}
    assert set(first.solved_by_group) == {"level-0/train", "level-1/train"}
    for one in (before, first):
        assert [of.trials for of in one.policy_by_group.values()] == [2, 2]
        assert (
            sum(of.successes for of in one.policy_by_group.values())
            == one.accuracy[Method.POLICY].successes
        )
    assert first.counts["sft_rows"] > 0 and first.counts["pairs"] > 0
    manifest = read_manifest(run / "round-1/policy")
    assert (
        manifest and set(manifest["inputs"]) == {"round-1/data"} and manifest["versions"]["torch"]
    )
    held_out = {row["id"] for row in read_rows(run / "round-1/data/held_out_pairs.jsonl")}
    assert held_out and held_out.isdisjoint(
        row["id"] for row in read_rows(run / "round-1/data/pairs.jsonl")
    )


def test_the_ids_of_methods_in_files_are_these(finished: Path) -> None:
    results = finished / "run/round-1/results"
    scored = ("majority", "best", "vote of 8", "weighted vote of 8", "weighted vote", "likeliest")
    names = {f"{source}: {name}" for source in SOURCES for name in scored}
    names |= {"policy", "search: weighted vote of the first 1"}
    assert json.loads((results / "results.json").read_text()).keys() == names
    manifest = read_manifest(results)
    assert manifest and manifest["metrics"]["accuracy"].keys() == names
    assert manifest["metrics"]["pairs"].keys() == set(PairOrder)
    assert [*PairOrder] == [
        "this round's",
        "the first round's",
        "likelihood",
        "without likelihood",
    ]


def test_scorers_learn_the_likelihood_of_the_rounds_own_policy(finished: Path) -> None:
    run = finished / "run"
    config = EvolveConfig.from_dict(options_of(run))
    data = next(each for each in plan(config) if isinstance(each, DataStage))
    trees = {tree.problem.id: tree for tree in merged(read_trees(run, data.searches))}
    policy = run / "round-1/policy"
    model = load(policy, torch.float32, torch.device("cpu"))
    moved: list[float] = []
    for name in ("pairs", "held_out_pairs"):
        before = read_rows(run / f"round-1/data/{name}.jsonl")
        after = read_rows(run / f"round-1/rows/{name}.jsonl")
        assert [row["id"] for row in before] == [row["id"] for row in after]
        for row in [row for row in after if row["kind"] == "step"][:3]:
            tree = trees[row["id"]]
            found = policy_logprobs(model, load_tokenizer(policy), [tree])[0]
            path = "".join((*row["prefix"], *row["chosen"][0]))
            node = next(one.id for one in tree.nodes if tree.text(one.id) == path)
            assert row["chosen_logprob"][0] == pytest.approx(found[node], abs=1e-3)
            moved.append(row["chosen_logprob"][0] - (step_logprob(tree.nodes[node]) or 0.0))
    # The bootstrap policy wrote the steps, and the round's policy differs from it.
    assert max(map(abs, moved)) > 1e-3
    manifest = read_manifest(run / "round-1/ppm")
    settings = json.loads((run / "round-1/ppm/config.json").read_text())
    assert manifest and manifest["metrics"]["head"] == "check head"
    assert settings["ppm_likelihood"] == manifest["metrics"]["likelihood"]
    assert settings["ppm_head_weight"] == manifest["metrics"]["head_weight"]
    assert settings["ppm_observations"] is True
    plain = json.loads((run / "round-1/plain/config.json").read_text())
    assert plain["ppm_likelihood"] == 0


def test_pairs_that_fit_the_weights_measure_nothing(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    # Too few held-out problems of this small run have pairs: more are held out now.
    folder = run / "round-1/data"
    every = read_rows(folder / "pairs.jsonl") + read_rows(folder / "held_out_pairs.jsonl")
    write_rows(folder / "held_out_pairs.jsonl", every)
    config = EvolveConfig.from_dict(options_of(run))
    stage = next(each for each in plan(config) if isinstance(each, RowsStage))
    counts = make_rows(stage, Context(run, config, device="cpu"))
    files = {path.stem: read_rows(path) for path in (run / stage.name).glob("*.jsonl")}
    assert {name: len(rows) for name, rows in files.items()} == {
        name: count for name, count in counts.items() if name != "steps"
    }
    fit, measured = ({row["id"] for row in files[name]} for name in ("fit_pairs", "held_out_pairs"))
    assert fit and measured and fit.isdisjoint(measured)
    assert fit | measured == {row["id"] for row in every}
    assert files["first_held_out_pairs"] == files["held_out_pairs"]
    # Without fitting, all of them measure.
    plain = replace(config, ppm=replace(config.ppm, likelihood=1.0))
    assert make_rows(stage, Context(run, plain, device="cpu"))["held_out_pairs"] == len(every)
    assert not (run / stage.name / "fit_pairs.jsonl").exists()


def test_everything_is_measured_at_equal_tokens(finished: Path) -> None:
    run = finished / "run"
    one = summarize(run)[1]
    assert one.measured and one.measured.budgets == (200, 400)
    assert one.measured.group_names == ["held_out"] and len(one.measured.problems) == 3
    of_samples = {
        "majority",
        "pass",
        "likeliest",
        *(
            f"{name}: {how}"
            for name in ("ppm", "orm", "pqm", "plain")
            for how in ("best", "weighted vote")
        ),
    }
    assert one.measured.solved.keys() == {
        "policy",
        *of_samples,
        *(f"{name} with greedy" for name in of_samples),
        *(
            f"{name}: {how}"
            for name in ("search", "judged")
            for how in ("vote", "weighted vote", "best", "pass")
        ),
    }
    for name in ("samples", "searches"):
        for trees in by_problem(read_trees(run, [f"round-1/{name}"])).values():
            spent = [tree.counts["generated_tokens"] for tree in trees]
            assert sum(spent) >= 400 and (len(trees) <= 2 or sum(spent[:-1]) < 400)
            if name == "samples":
                # Every token of a drawing is in one of its paths.
                paths = [path_samples(tree) for tree in trees]
                assert [sum(one.tokens for one in of_tree) for of_tree in paths] == spent
    page = write_report(run)[-1].read_text()
    assert "Round 1, held_out: 3 problems, percent solved at equal tokens" in page
    assert "search: best - ppm: best with greedy" in page


def test_the_minutes_of_a_run_are_told_by_kind_of_stage(finished: Path) -> None:
    run = finished / "run"
    kinds = {"greedy", "search-0", "again-0", "data", "samples", "searches", "results"}
    found = seconds_by_kind(run)
    assert found.keys() == kinds | {"rows", "policy", "ppm", "orm", "pqm", "plain"}
    assert set(found["greedy"]) == {0, 1} and set(found["search-0"]) == {1}
    manifests = [read_manifest(run / f"round-1/search-0/part-{part}") for part in (0, 1)]
    assert found["search-0"][1] == sum(one["seconds"] for one in manifests if one)
    head, rows = time_rows(run)
    assert head == ["minutes", "round 0", "round 1", "all", "%"] and rows[-1][-1] == "100"
    assert "Minutes by kind of stage" in write_report(run)[-1].read_text()


def test_earlier_solutions_are_those_of_problems_not_solved_now(
    finished: Path, tmp_path: Path
) -> None:
    run, own = tmp_path / "run", read_rows(finished / "run/round-1/data/sft.jsonl")
    shutil.copytree(finished / "run", run)
    (run / "before").mkdir()
    earlier = [{**own[0], "completion": "of a solved problem"}, {**own[0], "id": "not solved now"}]
    (run / "before/sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in earlier))
    config = EvolveConfig.from_dict(options(finished))
    data = next(each for each in plan(config) if isinstance(each, DataStage))
    again = replace(data, name="again", keep="before")
    counts = make_data(again, Context(run, config))
    assert read_rows(run / "again/sft.jsonl") == [*own, earlier[1]]
    assert (counts["sft_rows"], counts["kept_rows"]) == (len(own) + 1, 1)

    # Synthetic problems whose answers this round finds doubtful are left out too.
    doubtful = {
        tree.problem.id
        for tree in merged(read_trees(run, data.searches))
        if share_correct(tree) < 0.5
    }
    (run / "before/sft.jsonl").write_text(
        "".join(json.dumps({**own[0], "id": id}) + "\n" for id in sorted(doubtful))
    )
    counts = make_data(again, Context(run, replace(config, synthetic=config.problems)))
    assert doubtful and (counts["doubtful"], counts["kept_rows"]) == (len(doubtful), 0)
    assert doubtful.isdisjoint(row["id"] for row in read_rows(run / "again/sft.jsonl"))


def test_no_model_learns_from_problems_that_are_measured_in_any_round(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    config = EvolveConfig.from_dict(options(finished))
    first = next(each for each in plan(config) if isinstance(each, DataStage))
    context = Context(run, config)
    measured = {
        tree.problem.id
        for tree in merged(read_trees(run, first.searches))
        if is_measured(tree, config.evaluate.held_out_pairs, config.seed)
    }
    # The file of an older version had the solutions of measured problems too.
    rows = read_rows(run / "round-1/data/sft.jsonl")
    older = [{**rows[0], "id": id} for id in (*sorted(measured), "not solved now")]
    (run / "older").mkdir()
    (run / "older/sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    make_data(replace(first, name="round-2/data", keep="older"), context)
    # Another round has other trees.
    make_data(replace(first, name="round-3/data", searches=first.searches[:2]), context)
    for number in (1, 2, 3):
        files = sorted((run / f"round-{number}/data").glob("*.jsonl"))
        assert len(files) == 5
        for file in files:
            ids = {row["id"] for row in read_rows(file)}
            if file.stem == "held_out_pairs":
                assert ids <= measured
            else:
                assert ids and ids.isdisjoint(measured), file


@pytest.mark.parametrize("kind", ["policy", "ppm"])
def test_losses_are_written_into_the_stage(finished: Path, tmp_path: Path, kind: str) -> None:
    if not is_tensorboard_available():
        pytest.skip("neither tensorboard nor tensorboardX is installed")
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    shutil.rmtree(run / "round-1" / kind)
    write_config(run, {"options": {**options_of(run), "report_to": "tensorboard"}, "files": {}})
    process.do(run, f"round-1/{kind}", "cpu", 1, unconfined=True)
    (events,) = (run / "round-1" / kind / "runs").rglob("events.out.tfevents.*")
    assert b"train/train_loss" in events.read_bytes()
    assert not list((finished / "run/round-1" / kind).rglob("*tfevents*"))


def test_searches_take_the_number_of_rows(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def opened(*_: Any, max_rows: int | None, **__: Any) -> Any:
        asked.append(max_rows)
        raise PolicyError("enough")

    monkeypatch.setattr(searching, "open_searcher", opened)
    for max_rows in (None, 7):
        config = EvolveConfig.from_dict({**options(finished), "max_rows": max_rows})
        with pytest.raises(PolicyError, match="enough"):
            searching.search(plan(config)[0], Context(tmp_path / str(max_rows), config))
    assert asked == [None, 7]


def test_an_empty_problem_file_stops_the_first_search(tmp_path: Path) -> None:
    opened = options(tmp_path)
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(RStarError, match=r"train\.jsonl"):
        do_all(tmp_path / "run", opened)


def test_what_was_trained_on_is_not_held_out(tmp_path: Path) -> None:
    opened = options(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    (tmp_path / "copies.jsonl").write_text(
        "\n".join(json.dumps({**line, "id": f"copy-{i}"}) for i, line in enumerate(lines))
    )

    def held_out(*sources: str) -> tuple[list[str], int]:
        config = EvolveConfig.from_dict({**opened, "held_out": list(sources)})
        stage = SearchStage(
            "round-0/greedy", policy="", problems=("held_out",), search=SearchConfig()
        )
        problems, left_out = problems_of(stage, Context(tmp_path, config))
        return [problem.id for problem in problems], left_out

    alone, none = held_out(opened["held_out"])
    assert len(alone) == 8 and none == 0
    assert held_out(str(tmp_path / "copies.jsonl"), opened["held_out"]) == (alone, 8)
    with pytest.raises(
        ConfigError, match="held_out: expected problems that are no training problems, got none"
    ):
        held_out(str(tmp_path / "copies.jsonl"))


@pytest.mark.slow
def test_a_round_that_solved_nothing_says_so(tmp_path: Path) -> None:
    opened = options(tmp_path)
    wrong = [
        {**json.loads(line), "answer": "123456"}
        for line in (tmp_path / "train.jsonl").read_text().splitlines()
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, wrong)))
    with pytest.raises(DataError, match=r"no data to fine-tune a policy on: \d problems"):
        do_all(tmp_path / "run", opened)


@pytest.mark.slow
def test_only_right_trajectories_give_no_pairs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    do_all(run, options_of(finished / "run"), upto="round-1/data")
    monkeypatch.setattr("rstar_fast.data.pairs.pair_groups", lambda *_: [])
    with pytest.raises(
        DataError, match=r"no preference pairs: of 8 problems \d+ have only right trajectories"
    ):
        process.do(run, "round-1/data", "cpu", 1, unconfined=True)


def test_pairs_to_measure_by_may_be_missing(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    opened = options_of(run)
    opened["evaluate"]["held_out_pairs"] = 1e-9
    write_config(run, {"options": opened, "files": {}})
    (run / "round-1/data/manifest.json").unlink()
    process.do(run, "round-1/data", "cpu", 1, unconfined=True)
    assert not (run / "round-1/data/held_out_pairs.jsonl").exists()
    metrics = [
        json.loads((folder / "round-1/data/manifest.json").read_text())["metrics"]
        for folder in (run, finished / "run")
    ]
    assert metrics[0]["pairs"] == metrics[1]["pairs"] + metrics[1]["held_out_pairs"]
