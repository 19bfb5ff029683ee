"""Training of tiny PPMs and of the models they are compared with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data_trees import GOLDEN
from training_cases import QUICK, pair_rows

from rstar_fast.data import pair_groups, trajectory_rows
from rstar_fast.errors import ConfigError, DataError, StoreError, TrainError
from rstar_fast.ppm import PPM
from rstar_fast.ppm.texts import Texts
from rstar_fast.training import TrainConfig
from rstar_fast.training.pair_accuracy import pair_accuracy
from rstar_fast.training.train_ppm import train_ppm

pytest.importorskip("trl")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_ppm_learns_its_pairs(policy: Path, tmp_path: Path, precision: str) -> None:
    groups, rows = pair_groups(GOLDEN), pair_rows()
    config = TrainConfig.preset("cpu-ppm", epochs=30, learning_rate=5e-3, precision=precision)
    report = train_ppm(policy, rows, tmp_path / "ppm", config)
    assert (report.problems, report.examples, report.too_long, report.steps) == (1, 9, 0, 30)
    ppm = PPM.from_pretrained(tmp_path / "ppm", device="cpu")
    assert ppm.scale == 5.0
    found = pair_accuracy(ppm, groups)
    assert (found.pairs, found.accuracy, found.left_out) == (9, 1.0, 0)
    fresh = PPM.from_policy(policy, device="cpu")
    assert pair_accuracy(fresh, groups).pairs == 9


def test_the_models_it_is_compared_with_learn_too(policy: Path, tmp_path: Path) -> None:
    groups = pair_groups(GOLDEN)
    rows = trajectory_rows([GOLDEN])
    config = TrainConfig.preset("cpu-ppm", epochs=60, learning_rate=5e-3)
    for objective, scale in (("orm", 2.0), ("pqm", 1.0)):
        report = train_ppm(policy, rows, tmp_path / objective, config, objective)  # type: ignore[arg-type]
        assert report.examples == (6 if objective == "orm" else 15)
        ppm = PPM.from_pretrained(tmp_path / objective, device="cpu")
        assert ppm.scale == scale
        outcomes = [group for group in groups if group.kind == "trajectory"]
        assert pair_accuracy(ppm, outcomes).accuracy == 1.0


def test_the_same_arguments_give_the_same_ppm(policy: Path, tmp_path: Path) -> None:
    rows = pair_rows()
    other = [{**one, "id": "q", "question": "How much?"} for one in rows]
    for name, micro in (("a", 4096), ("b", 4096), ("c", 1)):
        config = TrainConfig.preset("cpu-ppm", epochs=2, micro_batch_tokens=micro, max_length=256)
        report = train_ppm(policy, [*rows, *other], tmp_path / name, config)
        assert (report.problems, report.steps) == (2, 2)
    a, b, c = (
        PPM.from_pretrained(tmp_path / name, device="cpu").model.state_dict() for name in "abc"
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all(torch.allclose(a[name], c[name], atol=1e-4) for name in a), (
        "as many forwards as needed change nothing"
    )


def test_what_is_too_long_or_malformed(policy: Path, tmp_path: Path) -> None:
    rows = pair_rows()
    length = len(Texts(PPM.from_policy(policy, device="cpu"), None).pieces("How many?", ())[0]) + 6
    report = train_ppm(
        policy, rows, tmp_path / "short", TrainConfig(**{**QUICK, "max_length": length})
    )
    assert (report.examples, report.too_long) == (5, 4), (
        "the whole solutions are too long, their steps are not"
    )
    with pytest.raises(TrainError, match="at most 3 tokens"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**{**QUICK, "max_length": 3}))
    with pytest.raises(DataError, match="got none"):
        train_ppm(policy, [], tmp_path / "none", TrainConfig(**QUICK))
    with pytest.raises(DataError, match="row of preference pairs"):
        train_ppm(policy, trajectory_rows([GOLDEN]), tmp_path / "none", TrainConfig(**QUICK))
    with pytest.raises(DataError, match="row of a trajectory"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**QUICK), "orm")
    with pytest.raises(ConfigError, match="objective"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**QUICK), "prm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="precision"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig.preset("paper-policy"))


def test_a_full_disk_is_told(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(StoreError, match=r"ppm: could not write the model: .*No space left"):
        train_ppm(policy, pair_rows(), tmp_path / "ppm", TrainConfig(**QUICK))
