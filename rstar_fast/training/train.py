"""Training of one model of any kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rstar_fast.checks import check_choice
from rstar_fast.training.config import TrainConfig
from rstar_fast.training.packages import require_packages

if TYPE_CHECKING:
    from rstar_fast.training.train_policy import PolicyReport
    from rstar_fast.training.train_ppm import PPMReport

Kind = Literal["policy", "ppm", "orm", "pqm"]
"""Kind of a model: a policy, a PPM, or one of the two models that a PPM is compared with."""
KINDS: tuple[Kind, ...] = get_args(Kind)


def train_model(
    kind: Kind,
    start: str | Path,
    rows: Sequence[dict[str, Any]],
    out: str | Path,
    config: TrainConfig,
    report_to: Sequence[str] = (),
    fit_rows: Sequence[dict[str, Any]] | None = None,
) -> "PolicyReport | PPMReport":
    """Train one model and write its folder. See `train_policy` and `train_ppm`.

    Under `accelerate launch` every process calls this.

    Args:
        kind: Kind of the model.
        start: Folder or hub name: the base model of a policy, or the policy that another kind
            starts from.
        rows: Training data: rows of `sft_rows` (policy), `pair_group_row` (ppm) or
            `trajectory_rows` (orm, pqm).
        out: Folder to write.
        config: How to train.
        report_to: Names of the services that losses are sent to, as `transformers` knows them:
            "tensorboard", "wandb", ...
        fit_rows: Pairs to fit the weight of the likelihood on, see `train_ppm`. Not for policies.

    Raises:
        ConfigError: The kind is unknown, or the configuration is not for models of that kind.
        DataError: The rows are of another kind.
        PolicyError: The base model cannot be loaded.
        ScoreError: The policy that the model starts from cannot be loaded.
        StoreError: The folder cannot be written.
        TrainError: A package is missing, no text is short enough, or the loss is not a number.
    """
    check_choice("kind", kind, KINDS)
    require_packages("training", "accelerate", "torch", "transformers")
    if kind == "policy":
        from rstar_fast.training.train_policy import train_policy

        return train_policy(start, rows, out, config, report_to)
    from rstar_fast.training.train_ppm import train_ppm

    return train_ppm(start, rows, out, config, kind, report_to, fit_rows=fit_rows)
