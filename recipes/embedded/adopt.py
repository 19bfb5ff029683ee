"""Put the models of a self-evolution into the package.

    python -m recipes.embedded.adopt RUN

RUN is the folder of `rstar-fast evolve --config recipes/embedded/evolve.toml --out RUN`. The run's
base with its check head, and the policy and the PPM of its last finished round, replace those in
the package, in fp16. The file `origin.json` beside them says where they came from.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import rstar_fast.embedded
from rstar_fast.errors import ConfigError, StoreError
from rstar_fast.evolve.folders import fresh_folder
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.report import METHOD_NAMES
from rstar_fast.evolve.summary import summarize
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.ppm import PPM
from rstar_fast.ppm.loading import CHECK_HEAD
from rstar_fast.store.config_file import read_config, write_json

ORIGIN = "origin.json"
_WEIGHTS = "model.safetensors"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the self-evolution")
    args = parser.parse_args()
    package = Path(rstar_fast.embedded.__file__).parent
    print(json.dumps(adopt(args.run, package), indent=2))


def adopt(run: Path, out: Path) -> dict[str, Any]:
    """Copy a run's base, last policy and last PPM to `base`, `policy` and `ppm` below `out`.

    Returns:
        The values of `origin.json`: `config_sha256` (see `options_digest`), the run's `seed`, the
        `round` of the models, `weights_sha256` of each model, `versions` of the packages that
        trained the PPM, and `held_out`: for each round [solved, problems] of each method that was
        measured.

    Raises:
        ConfigError: No round is finished, or a model has another tokenizer than the base.
        StoreError: The run is damaged, or the disk refuses.
        PolicyError: The base or the policy cannot be loaded.
        ScoreError: The PPM cannot be loaded.
    """
    options = read_config(run)["options"]
    rounds = [
        one
        for one in summarize(run)
        if not one.number or read_manifest(run / f"round-{one.number}" / "results")
    ]
    last = max((one.number for one in rounds), default=0)
    trained = read_manifest(run / f"round-{last}" / "ppm")
    if trained is None:
        raise ConfigError(f"{run}: expected a run with at least one finished round")
    round_ = run / f"round-{last}"
    sources = {"base": Path(options["base"]), "policy": round_ / "policy", "ppm": round_ / "ppm"}
    tokenizer = load_tokenizer(sources["base"])
    models = {
        name: _load(source, name, tokenizer)
        for name, source in sources.items()
        if source.resolve() != (out / name).resolve()
    }
    for name, model in models.items():
        with fresh_folder(out / name) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            if name == "base" and (sources[name] / CHECK_HEAD).is_file():
                shutil.copy(sources[name] / CHECK_HEAD, folder)
    origin = {
        "config_sha256": options_digest(options),
        "seed": options.get("seed", 0),
        "round": last,
        "weights_sha256": {
            name: _digest(out / name / _WEIGHTS) for name in ("base", "policy", "ppm")
        },
        "versions": trained["versions"],
        "held_out": {
            f"round {one.number}": {
                METHOD_NAMES[method]: [share.successes, share.trials]
                for method, share in one.accuracy.items()
            }
            for one in rounds
        },
    }
    try:
        write_json(out / ORIGIN, origin)
    except OSError as error:
        raise StoreError(f"{out / ORIGIN}: cannot be written: {error.strerror or error}") from error
    return origin


def options_digest(options: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a run's options, see `rstar_fast.evolve.read_options`.

    The seed is left out, and the base, whose path differs from machine to machine.
    """
    counted = {name: value for name, value in options.items() if name not in ("base", "seed")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def _load(source: Path, name: str, tokenizer: Any) -> Any:
    """Return a model in fp16, after a check that its tokenizer is that of the base."""
    if name == "ppm":
        ppm = PPM.from_pretrained(source, device="cpu", dtype=torch.float16)
        model, its_own = ppm.model, ppm.tokenizer
    else:
        model, its_own = load(source, torch.float16, torch.device("cpu")), load_tokenizer(source)
    if its_own.get_vocab() != tokenizer.get_vocab():
        raise ConfigError(
            f"{source}: expected the tokenizer of the base, got one of {len(its_own)} tokens"
        )
    return model


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
