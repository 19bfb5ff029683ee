"""The command `rstar-fast search`: what it prints, writes, refuses and survives."""

from pathlib import Path

import pytest
from scripted_cli import ids, search, write_problems

from rstar_fast.cli import main
from rstar_fast.cli.options import presets_table
from rstar_fast.config import PRESETS, SearchConfig
from rstar_fast.search import engines
from rstar_fast.search.run import Totals
from rstar_fast.store import RunFolder

pytestmark = pytest.mark.usefixtures("scripted")


def test_search_stores_and_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(3)
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-1", "p-2"]
    out = capsys.readouterr().out
    assert "3 searched, 0 failed" in out
    assert "3 of 3 (100.0%)  by any trajectory" in out
    assert "rstar-fast show run" in out
    config = RunFolder.read("run").config
    assert config["problems"] == str(Path("p.jsonl").resolve())
    assert (config["policy"], config["ppm"], config["search"]["candidates"]) == (
        "scripted",
        "scripted",
        2,
    )


def test_the_same_command_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(5)
    assert main(search("--limit", "2")) == 0
    assert main(search()) == 0
    assert "2 of 5 problems done already" in capsys.readouterr().out
    assert sorted(ids()) == [f"p-{i}" for i in range(5)]


def test_a_finished_run_loads_no_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(2)
    main(search())
    monkeypatch.setattr(engines, "open_searcher", None)
    assert main(search()) == 0
    assert "2 searched, 0 failed" in capsys.readouterr().out


def test_failures_are_recorded_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(3, {1: "fail"})
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-2"]
    (failure,) = RunFolder.read("run").failures()
    assert failure.problem.key == "p-1" and failure.error_type == "PolicyError"
    out = capsys.readouterr().out
    assert "p-1 failed: the policy failed at node 0" in out and "2 searched, 1 failed" in out


def test_a_stop_between_the_disk_and_the_count_counts_the_tree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(3)

    def stop(totals: Totals, ended: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Totals, "add", stop)
    assert main(search()) == 130
    assert len(ids()) == 1
    assert "stopped; 1 finished tree in run" in capsys.readouterr().out


def test_a_stop_before_there_is_a_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(3)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "open_searcher", stop)
    assert main(search()) == 130
    assert "stopped; 0 finished trees in run" in capsys.readouterr().out


def test_all_failed_is_exit_1() -> None:
    write_problems(1, {0: "fail"})
    assert main(search()) == 1


def test_a_broken_engine_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(14, dict.fromkeys(range(3, 14), "broken"))
    assert main(search("--set", "max_active=1")) == 2
    err = capsys.readouterr().err
    assert (
        "the engine broke" in err
        and "3 finished trees in run" in err
        and "rstar-fast search --problems p.jsonl" in err
    )
    assert len(ids()) == 3
    (session,) = RunFolder.read("run").sessions()
    assert (
        session["ended"].startswith("PolicyError: the policy failed on 8 requests in a row")
        and session["trees"] == 3
    )


def test_an_engine_that_fails_on_one_problem_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(4, {1: "broken"})
    assert main(search()) == 0
    assert sorted(ids()) == ["p-0", "p-2", "p-3"]
    assert (
        "p-1 failed: the policy failed twice: PolicyError: the engine broke"
        in capsys.readouterr().out
    )
    assert main(["show", "run"]) == 0
    out = capsys.readouterr().out
    assert "3 searched, 1 failed, done; busy: policy " in out


def test_a_policy_that_cannot_be_loaded_leaves_no_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_problems(1)
    assert main([word if word != "scripted" else "missing" for word in search()]) == 2
    assert capsys.readouterr().err == "rstar-fast: policy 'missing': no such folder\n"
    assert not Path("run").exists()


def test_another_config_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(1)
    main(search())
    assert main(search("--seed", "5")) == 2
    assert "search.seed: 0 -> 5" in capsys.readouterr().err
    assert main(search("--set", "max_active=7")) == 0  # changes no tree


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "candidates=many"], "candidates: expected an integer in 1..1024, got 'many'"),
        (["--set", "candidates=0"], "candidates: expected an integer in 1..1024, got 0"),
        (["--set", "candidate=3"], "unknown option 'candidate' (did you mean 'candidates'?)"),
        (["--set", "use_scores=maybe"], "use_scores: expected true or false, got 'maybe'"),
        (["--set", "c=nan"], "c: expected a number in [0, 1e+06], got nan"),
        (["--set", "search.c=1"], "unknown option 'search'"),
        (
            ["--set", "strategy=dfs"],
            "strategy: expected one of mcts, greedy, beam, best_of_n, particles, got 'dfs'",
        ),
        (["--set", "candidates"], "--set: expected option=value, got 'candidates'"),
        (["--preset", "quick"], "unknown preset 'quick'"),
        (["--preset", "greedy"], "asks no PPM"),
        (["--problems", "none.jsonl"], "none.jsonl: no such file"),
        (["--limit", "0"], "limit: expected at least 1 problem, got 0"),
    ],
)
def test_errors_exit_2_with_a_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_problems(1)
    assert main(search(*words)) == 2
    err = capsys.readouterr().err
    assert err.startswith("rstar-fast: ") and message in err
    assert not Path("run").exists()


def test_a_ppm_is_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    write_problems(1)
    assert (
        main(
            ["search", "--problems", "p.jsonl", "--policy", "p", "--preset", "fast", "--out", "run"]
        )
        == 2
    )
    err = capsys.readouterr().err
    assert "--ppm" in err and "annotate_terminals_with_ground_truth=true" in err


def test_help_names_every_preset_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    table = presets_table()
    assert all(f"  {name} " in table for name in PRESETS)
    assert all(f"  {name}=" in table for name in SearchConfig().to_dict())
    with pytest.raises(SystemExit) as exit_:
        main(["search", "--help"])
    assert exit_.value.code == 0 and table in capsys.readouterr().out
