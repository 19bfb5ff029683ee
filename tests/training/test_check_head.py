"""The head of a PPM starts from the check head of a base model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from training_cases import QUICK, pair_rows

from rstar_fast.data import trajectory_rows
from rstar_fast.errors import ScoreError
from rstar_fast.ppm.loading import CHECK_HEAD, read_check_head
from rstar_fast.ppm.model import PPM
from rstar_fast.training import TrainConfig
from rstar_fast.training.train_ppm import train_ppm

STILL = TrainConfig(**{**QUICK, "learning_rate": 1e-12})


def write_head(folder: Path, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    folder.mkdir(exist_ok=True)
    head = {"weight": torch.linspace(-1, 1, 32)[None], "bias": torch.tensor([0.25]), **changes}
    save_file(head, folder / CHECK_HEAD)
    return head


def test_the_head_is_that_of_the_base(policy: Path, tmp_path: Path) -> None:
    head = write_head(tmp_path / "base")
    report = train_ppm(
        policy, pair_rows(), tmp_path / "ppm", STILL, check_head_of=tmp_path / "base"
    )
    ppm = PPM.from_pretrained(tmp_path / "ppm", "cpu")
    assert report.head == "check head"
    assert torch.allclose(ppm.model.score.weight, head["weight"], atol=1e-6)
    assert ppm.bias == 0.25
    report = train_ppm(policy, pair_rows(), tmp_path / "other", STILL)
    other = PPM.from_pretrained(tmp_path / "other", "cpu")
    assert report.head == "random" and other.bias == 0
    assert not torch.allclose(other.model.score.weight, head["weight"], atol=0.1)


def test_an_outcome_model_learns_with_the_bias(policy: Path, tmp_path: Path) -> None:
    from data_trees import GOLDEN

    losses = []
    for bias in (0.25, 50.0):
        write_head(tmp_path / "base", bias=torch.tensor([bias]), weight=torch.zeros(1, 32))
        out = tmp_path / str(bias)
        rows = trajectory_rows([GOLDEN])
        losses.append(
            train_ppm(policy, rows, out, STILL, "orm", check_head_of=tmp_path / "base").loss
        )
    assert losses[0] < 1 and losses[1] > 10


def test_a_broken_check_head_is_told(policy: Path, tmp_path: Path) -> None:
    assert read_check_head(str(policy)) is None
    write_head(tmp_path, weight=torch.zeros(2, 32))
    with pytest.raises(ScoreError, match=r"expected weight \[1, hidden\] and bias \[1\], got"):
        read_check_head(str(tmp_path))
    write_head(tmp_path, bias=torch.tensor([torch.nan]))
    with pytest.raises(ScoreError, match="expected finite weights"):
        read_check_head(str(tmp_path))
    (tmp_path / CHECK_HEAD).write_text("no safetensors")
    with pytest.raises(ScoreError, match="expected safetensors"):
        read_check_head(str(tmp_path))
    write_head(tmp_path, weight=torch.zeros(1, 8))
    with pytest.raises(
        ScoreError, match=r"check_head.safetensors: expected a weight of shape \[1, 32\]"
    ):
        train_ppm(policy, pair_rows(), tmp_path / "ppm", STILL, check_head_of=tmp_path)
