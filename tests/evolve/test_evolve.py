"""Self-evolution: the plan, the schedule, a small one from end to end, killed and gone on with, and what can go wrong."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evolve_options import options
from safetensors.torch import load_file
from transformers import AutoTokenizer
from transformers.integrations import is_tensorboard_available

from recipes.embedded.adopt import adopt, options_digest
from rstar_fast.data import merged, read_rows, share_correct
from rstar_fast.embedded import base_path
from rstar_fast.errors import (
    ConfigError,
    DataError,
    PolicyError,
    RStarError,
    StageError,
    StoreError,
)
from rstar_fast.evolve import EvolveConfig, evolve, process, searching, stage
from rstar_fast.evolve.context import Context, read_trees
from rstar_fast.evolve.driver import schedule
from rstar_fast.evolve.making_data import make_data
from rstar_fast.evolve.plan import plan, training_first
from rstar_fast.evolve.report import write_report
from rstar_fast.evolve.stage import Stage, read_manifest
from rstar_fast.evolve.summary import COLUMNS, groups, summarize
from rstar_fast.ppm import PPM
from rstar_fast.store import RunFolder
from rstar_fast.store.config_file import write_config


def do_all(run: Path, opened: dict[str, Any], upto: str = "") -> list[str]:
    """Every stage in this process, one after the other; their names."""
    run.mkdir(parents=True, exist_ok=True)
    write_config(run, {"options": opened, "files": {}})
    names = [stage.name for stage in plan(EvolveConfig.from_dict(opened))]
    names = names[: names.index(upto)] if upto else names
    for name in names:
        process.do(run, name, "cpu", 1)
    return names


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unbroken run."""
    folder = tmp_path_factory.mktemp("unbroken")
    do_all(folder / "run", options(folder))
    return folder


def plain_trees(run: Path) -> dict[str, Any]:
    """Trees but for their log-probabilities, whose last bits depend on what else was in the batch."""
    with RunFolder.read(run) as folder:
        return {
            tree.problem.id: [replace(node, logprob_bytes=b"") for node in tree.nodes]
            for tree in folder.trees()
        }


# The plan.


def test_every_stage_needs_earlier_ones_only(tmp_path: Path) -> None:
    stages = plan(
        EvolveConfig.from_dict(
            options(tmp_path, rounds=[{"more": [{"temperature": 1.3}]}, {}, {}, {}])
        )
    )
    seen: set[str] = set()
    for each in stages:
        assert seen.issuperset(each.needs) and each.name not in seen
        seen.add(each.name)
    by_name = {each.name: each for each in stages}
    assert by_name["round-2/search-0/part-0"].options["ppm"] is None
    assert by_name["round-3/search-0/part-1"].needs == ("round-2/policy", "round-2/ppm")
    assert by_name["round-2/orm"].options["data"] == ["round-2/data"]
    seeds = [
        each.options["search"]["seed"]
        for each in stages
        if each.kind == "search" and each.name.endswith("part-0")
    ]
    assert len(set(seeds)) == len(seeds) == 5


def test_what_a_ppm_is_compared_with_can_be_left_out(tmp_path: Path) -> None:
    opened = options(tmp_path, rounds=[{}, {}])
    every = {each.name for each in plan(EvolveConfig.from_dict(opened))}
    without = {
        each.name
        for each in plan(EvolveConfig.from_dict({**opened, "evaluate": {"baselines": False}}))
    }
    assert every - without == {f"round-{n}/{model}" for n in (1, 2) for model in ("orm", "pqm")} | {
        "round-2/first-policy"
    }


def test_a_ppm_may_learn_from_all_rounds_so_far(tmp_path: Path) -> None:
    stages = plan(EvolveConfig.from_dict(options(tmp_path, rounds=[{}, {}], earlier_rounds=True)))
    needs = {each.name: each.needs for each in stages}
    assert needs["round-1/ppm"] == ("round-1/data", "round-1/policy")
    assert needs["round-2/ppm"] == ("round-1/data", "round-2/data", "round-2/policy")


def test_the_data_of_a_round_may_keep_earlier_solutions(tmp_path: Path) -> None:
    for keep in (False, True):
        stages = plan(
            EvolveConfig.from_dict(options(tmp_path, rounds=[{}, {}], keep_solutions=keep))
        )
        data = {each.name: each for each in stages if each.kind == "data"}
        assert "keep" not in data["round-1/data"].options
        assert ("round-1/data" in data["round-2/data"].needs) is keep


def test_the_measuring_of_a_round_can_wait_for_the_next_policy(tmp_path: Path) -> None:
    stages = plan(EvolveConfig.from_dict(options(tmp_path, rounds=[{}, {}, {}])))
    names = [each.name for each in training_first(stages)]
    assert sorted(names) == sorted(each.name for each in stages)
    at = {name: place for place, name in enumerate(names)}
    assert all(at[need] < at[each.name] for each in stages for need in each.needs)
    assert (
        at["round-2/policy"]
        < at["round-1/ppm"]
        < at["round-1/results"]
        < at["round-3/search-0/part-0"]
    )
    assert (
        at["round-2/ppm"]
        < at["round-1/greedy"]
        < at["round-3/policy"]
        < at["round-2/results"]
        < at["round-3/ppm"]
    )


# The schedule.


def scheduled(
    run: Path, stages: list[Stage], processes: int, failing: str = ""
) -> list[tuple[str, str]]:
    """Stages whose processes only write a manifest, or fail."""
    (run / "logs").mkdir(parents=True, exist_ok=True)

    def start(each: Stage) -> "subprocess.Popen[bytes]":
        (run / each.name).mkdir(exist_ok=True)
        code = (
            f"open({str(run / each.name / 'manifest.json')!r}, 'w').write('{{\"metrics\": {{}}}}')"
        )
        if each.name == failing:
            code = "import sys; sys.exit('it was in the way')"
        with (run / "logs" / f"{each.name}.txt").open("wb") as log:
            return subprocess.Popen([sys.executable, "-c", code], stderr=log)

    events = []
    try:
        for event in schedule(stages, run, processes, start):
            events.append((event.kind, event.stage.name))
    except StageError as error:
        assert failing in str(error) and "it was in the way" in str(error)
    return events


def test_a_stage_starts_as_soon_as_what_it_needs_is_done(tmp_path: Path) -> None:
    stages = [
        Stage("a", ""),
        Stage("b", "", needs=("a",)),
        Stage("c", ""),
        Stage("d", "", needs=("b", "c")),
    ]
    events = scheduled(tmp_path, stages, processes=2)
    assert set(events[:2]) == {("started", "a"), ("started", "c")}
    assert events.index(("started", "b")) > events.index(("done", "a"))
    assert events.index(("started", "d")) > max(
        events.index(("done", "b")), events.index(("done", "c"))
    )
    assert scheduled(tmp_path, stages, processes=2) == [("done", name) for name in "abcd"]


def test_a_failed_stage_stops_the_run_which_then_goes_on(tmp_path: Path) -> None:
    stages = [Stage("a", ""), Stage("b", ""), Stage("c", "", needs=("a",))]
    events = scheduled(tmp_path, stages, processes=1, failing="b")
    assert events == [("started", "a"), ("done", "a"), ("started", "b"), ("failed", "b")]
    assert scheduled(tmp_path, stages, processes=1)[-1] == ("done", "c")


# From end to end.


def test_a_round_makes_models_and_results(finished: Path) -> None:
    run = finished / "run"
    before, first = summarize(run)
    assert before.accuracy["policy"].trials == 4 and first.solved and first.solved.trials == 8
    assert set(first.accuracy) == set(COLUMNS) - {"first policy"}
    assert set(first.solved_by_group) == {"level-0/train", "level-1/train"}
    for one in (before, first):
        assert [of.trials for of in one.policy_by_group.values()] == [2, 2]
        assert (
            sum(of.successes for of in one.policy_by_group.values())
            == one.accuracy["policy"].successes
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


def test_earlier_solutions_are_those_of_problems_not_solved_now(
    finished: Path, tmp_path: Path
) -> None:
    run, own = tmp_path / "run", read_rows(finished / "run/round-1/data/sft.jsonl")
    shutil.copytree(finished / "run", run)
    (run / "before").mkdir()
    earlier = [{**own[0], "completion": "of a solved problem"}, {**own[0], "id": "not solved now"}]
    (run / "before/sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in earlier))
    config = EvolveConfig.from_dict(options(finished))
    data = next(each for each in plan(config) if each.kind == "data")
    again = Stage("again", "data", {**data.options, "keep": "before"}, data.needs)
    counts = make_data(Context(run, config, again))
    assert read_rows(run / "again/sft.jsonl") == [*own, earlier[1]]
    assert (counts["sft_rows"], counts["kept_rows"]) == (len(own) + 1, 1)

    # Nor are they those of synthetic problems whose answers this round finds doubtful.
    doubtful = {
        tree.problem.id
        for tree in merged(read_trees(run, data.options["searches"]))
        if share_correct(tree) < 0.5
    }
    (run / "before/sft.jsonl").write_text(
        "".join(json.dumps({**own[0], "id": id}) + "\n" for id in sorted(doubtful))
    )
    counts = make_data(Context(run, replace(config, synthetic=config.problems), again))
    assert doubtful and (counts["doubtful"], counts["kept_rows"]) == (len(doubtful), 0)
    assert doubtful.isdisjoint(row["id"] for row in read_rows(run / "again/sft.jsonl"))


def test_the_report_holds_every_figure(finished: Path) -> None:
    files = write_report(finished / "run")
    page = files[-1].read_text()
    assert [file.suffix for file in files] == [".png", ".png", ".png", ".html"] and page.count(
        "data:image/png"
    ) == 3
    assert all(name in page for name in COLUMNS)
    assert groups(summarize(finished / "run")) == ["level-0/held_out", "level-1/held_out"]
    assert all(f"<td>{group}</td>" in page for group in groups(summarize(finished / "run")))


def test_the_package_takes_the_models_of_the_last_finished_round(
    finished: Path, tmp_path: Path
) -> None:
    run, opened = finished / "run", options(finished)
    told = adopt(run, tmp_path)
    for name, source in (
        ("base", base_path()),
        ("policy", run / "round-1/policy"),
        ("ppm", run / "round-1/ppm"),
    ):
        was, taken = (
            load_file(folder / "model.safetensors") for folder in (source, tmp_path / name)
        )
        assert was.keys() == taken.keys() and all(taken[key].equal(was[key].half()) for key in was)
        assert (tmp_path / name / "tokenizer.json").read_bytes() == (
            base_path() / "tokenizer.json"
        ).read_bytes()
    assert (
        PPM.from_pretrained(tmp_path / "ppm").scale
        == PPM.from_pretrained(run / "round-1/ppm").scale
    )
    assert told == json.loads((tmp_path / "origin.json").read_text())
    assert (told["round"], told["seed"]) == (1, 0)
    assert told["config_sha256"] == options_digest({**opened, "base": "elsewhere", "seed": 5})
    assert told["config_sha256"] != options_digest({**opened, "parts": 3})
    measured = read_manifest(run / "round-1/results")
    assert (
        measured
        and told["held_out"]["round 1"]["policy"] == measured["metrics"]["accuracy"]["policy"][:2]
    )
    assert measured["metrics"]["accuracy"].keys() >= {
        "search: weighted vote of the first 1",
        "search: weighted vote",
    }
    again = adopt(run, tmp_path)
    assert again == told


def test_what_the_package_cannot_take(finished: Path, tmp_path: Path) -> None:
    opened = options(finished)
    run = tmp_path / "run"
    do_all(run, opened, upto="round-1/search-0/part-0")
    with pytest.raises(ConfigError, match="expected a run with at least one finished round"):
        adopt(run, tmp_path)
    other = tmp_path / "other"
    shutil.copytree(base_path(), other)
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(other)
    shutil.copytree(finished / "run", tmp_path / "whole")
    write_config(tmp_path / "whole", {"options": {**opened, "base": str(other)}, "files": {}})
    with pytest.raises(
        ConfigError,
        match=r"other: expected the tokenizer of the embedded models, got one of \d+ tokens",
    ):
        adopt(tmp_path / "whole", tmp_path)
    assert not (tmp_path / "policy").exists()


def test_what_is_finished_is_not_done_again_and_other_options_are_refused(finished: Path) -> None:
    opened, run = options(finished), finished / "run"
    config = json.loads((run / "config.json").read_text())
    try:
        (run / "config.json").unlink()
        events = list(evolve(opened, run))
        assert {event.kind for event in events} == {"done"} and len(events) == len(
            plan(EvolveConfig.from_dict(opened))
        )
        with pytest.raises(StoreError, match=r"options.seed: \(not set\) -> 3"):
            list(evolve({**opened, "seed": 3}, run))
        (finished / "train.jsonl").write_text((finished / "train.jsonl").read_text() + "\n")
        with pytest.raises(StoreError, match=r"files.problems"):
            list(evolve(opened, run))
    finally:
        write_config(run, config)


@pytest.mark.parametrize("killed", ["round-1/search-0/part-0", "round-1/policy", "round-1/ppm"])
def test_a_killed_stage_ends_as_an_unbroken_one(
    finished: Path, tmp_path: Path, killed: str
) -> None:
    run = tmp_path / "run"
    do_all(run, json.loads((finished / "run/config.json").read_text())["options"], upto=killed)
    command = [
        sys.executable,
        "-m",
        "rstar_fast.evolve.process",
        str(run),
        killed,
        "--device",
        "cpu",
        "--workers",
        "1",
    ]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    begun = [
        run / killed / "trees.jsonl",
        (run / killed).with_name(Path(killed).name + ".unfinished"),
    ]
    while not any(path.exists() and (path.is_dir() or path.stat().st_size) for path in begun):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert read_manifest(run / killed) is None
    process.do(run, killed, "cpu", 1)
    if "search" in killed:
        assert plain_trees(run / killed) == plain_trees(finished / "run" / killed)
    else:
        weights = [
            (folder / killed / "model.safetensors").read_bytes()
            for folder in (run, finished / "run")
        ]
        assert weights[0] == weights[1]


@pytest.mark.parametrize("kind", ["policy", "ppm"])
def test_losses_are_written_into_the_stage(finished: Path, tmp_path: Path, kind: str) -> None:
    if not is_tensorboard_available():
        pytest.skip("neither tensorboard nor tensorboardX is installed")
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    shutil.rmtree(run / "round-1" / kind)
    opened = json.loads((run / "config.json").read_text())["options"]
    write_config(run, {"options": {**opened, "report_to": "tensorboard"}, "files": {}})
    process.do(run, f"round-1/{kind}", "cpu", 1)
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
            searching.search(Context(tmp_path / str(max_rows), config, plan(config)[0]))
    assert asked == [None, 7]


# What goes wrong.


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
        problems, left_out = Context(
            tmp_path, config, Stage("s", "search", {"problems": ["held_out"]})
        ).problems()
        return [problem.id for problem in problems], left_out

    alone, none = held_out(opened["held_out"])
    assert len(alone) == 8 and none == 0
    assert held_out(str(tmp_path / "copies.jsonl"), opened["held_out"]) == (alone, 8)
    with pytest.raises(
        ConfigError, match="held_out: expected problems that are no training problems, got none"
    ):
        held_out(str(tmp_path / "copies.jsonl"))


def test_a_round_that_solved_nothing_says_so(tmp_path: Path) -> None:
    opened = options(tmp_path)
    wrong = [
        {**json.loads(line), "answer": "123456"}
        for line in (tmp_path / "train.jsonl").read_text().splitlines()
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, wrong)))
    with pytest.raises(DataError, match="no data to fine-tune a policy on: 8 problems"):
        do_all(tmp_path / "run", opened)


def test_only_right_trajectories_give_no_pairs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    do_all(
        run, json.loads((finished / "run/config.json").read_text())["options"], upto="round-1/data"
    )
    monkeypatch.setattr("rstar_fast.data.pairs.pair_groups", lambda *_: [])
    with pytest.raises(
        DataError, match=r"no preference pairs: of 8 problems \d+ have only right trajectories"
    ):
        process.do(run, "round-1/data", "cpu", 1)


def test_pairs_to_measure_by_may_be_missing(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    opened = json.loads((run / "config.json").read_text())["options"]
    write_config(
        run,
        {
            "options": {**opened, "evaluate": {**opened["evaluate"], "held_out_pairs": 1e-9}},
            "files": {},
        },
    )
    (run / "round-1/data/manifest.json").unlink()
    process.do(run, "round-1/data", "cpu", 1)
    assert not (run / "round-1/data/held_out_pairs.jsonl").exists()
    metrics = [
        json.loads((folder / "round-1/data/manifest.json").read_text())["metrics"]
        for folder in (run, finished / "run")
    ]
    assert metrics[0]["pairs"] == metrics[1]["pairs"] + metrics[1]["held_out_pairs"]


def test_a_full_disk_is_told_and_gone_on_from(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    do_all(
        run, json.loads((finished / "run/config.json").read_text())["options"], upto="round-1/data"
    )

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(stage, "write_json", full)
        with pytest.raises(StoreError, match="No space left on device"):
            process.do(run, "round-1/data", "cpu", 1)
    assert read_manifest(run / "round-1/data") is None
    process.do(run, "round-1/data", "cpu", 1)
    mine, theirs = (
        json.loads((folder / "round-1/data/manifest.json").read_text())["metrics"]
        for folder in (run, finished / "run")
    )
    assert mine == theirs
