"""The arguments of a search, from the command line and from a TOML file."""

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rstar_fast.checks import check_known
from rstar_fast.cli.options import merged, parse_settings
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.toml_file import beside, read_toml

_REQUIRED = ("problems", "policy", "preset", "out")
_PATHS = ("problems", "policy", "ppm", "tokenizer", "ppm_folder")
_VLLM = "vllm:"


@dataclass(frozen=True, slots=True)
class SearchArguments:
    """What a search runs on. The names are those of the command line's options and of the file.

    Attributes:
        problems: File or name of the problems.
        policy: Folder or name of the policy, or the model of a server.
        preset: Name of the preset.
        out: Run folder.
        ppm: Folder or name of the PPM, or the model of a server. None without one.
        limit: Number of problems to take. None for all.
        seed: Seed of the search. None for the preset's.
        workers: Number of processes that run steps. None for one per core.
        device: Device of the models. None for a GPU where there is one.
        dtype: Type of the models' weights. None for the engines' defaults.
        max_rows: Number of candidates that the policy writes at once. None for its default.
        policy_memory: Share of a GPU's memory that vLLM may take for the policy. None for a good
            one.
        ppm_memory: The same for the PPM.
        tokenizer: Tokenizer of a server's policy. None for that of the folder that its model is
            named after.
        ppm_folder: Folder or name of a server's PPM. None for the name of its model.
        unconfined: Whether steps are run even where this machine cannot confine them well.
        search: Changes to the preset, by option of `SearchConfig`.
    """

    problems: str
    policy: str
    preset: str
    out: str
    ppm: str | None = None
    limit: int | None = None
    seed: int | None = None
    workers: int | None = None
    device: str | None = None
    dtype: str | None = None
    max_rows: int | None = None
    policy_memory: float | None = None
    ppm_memory: float | None = None
    tokenizer: str | None = None
    ppm_folder: str | None = None
    unconfined: bool = False
    search: dict[str, Any] = field(default_factory=dict)

    def config(self) -> SearchConfig:
        """Return the configuration of the search.

        Raises:
            ConfigError: An option is wrong, or the PPM and the configuration do not fit together.
        """
        options = dict(self.search)
        if self.seed is not None:
            options["seed"] = self.seed
        config = SearchConfig.preset(self.preset, **options)
        if config.use_scores and not self.ppm:
            raise ConfigError(
                f"preset {self.preset!r} scores steps by a PPM (use_scores), and none was given: "
                "add --ppm DIR or --ppm embedded; or search without one, by the known answers: "
                "--set use_scores=false annotate_terminals_with_ground_truth=true"
            )
        if self.ppm and not config.use_scores:
            raise ConfigError(
                f"preset {self.preset!r} asks no PPM (use_scores=false): leave --ppm out, "
                "or add --set use_scores=true"
            )
        return config


def search_arguments(args: argparse.Namespace) -> SearchArguments:
    """Merge the file of `--config` and the command line, which wins.

    Raises:
        ConfigError: The file cannot be read, an option is unknown, or a needed one is missing.
    """
    names = [each.name for each in fields(SearchArguments)]
    found = read_search_file(args.config, names) if args.config else {}
    given = {name: getattr(args, name) for name in names if name != "search"}
    found |= {name: value for name, value in given.items() if value is not None}
    found["search"] = merged(found.get("search", {}), parse_settings(args.set))
    for name in _REQUIRED:
        if name not in found:
            raise ConfigError(f"--{name} is needed (or `{name}` in the file of --config)")
    return SearchArguments(**found)


def read_search_file(path: str, names: list[str]) -> dict[str, Any]:
    """Read a TOML file of arguments. Paths of files beside it become absolute.

    Raises:
        ConfigError: It cannot be read, or a name or a type in it is wrong.
    """
    found = read_toml(Path(path), where="--config ")
    check_known(found, names, where=f"{path}: ")
    for name, value in found.items():
        _check_type(path, name, value)
        if name in _PATHS:
            _, engine, place = value.rpartition(_VLLM)
            found[name] = engine + beside(Path(path), place)
    return found


def _check_type(path: str, name: str, value: Any) -> None:
    types: tuple[type, ...] = (str,)
    expected = "a string"
    if name == "search":
        types, expected = (dict,), "a table"
    elif name in ("limit", "seed", "workers", "max_rows"):
        types, expected = (int,), "an integer"
    elif name in ("policy_memory", "ppm_memory"):
        types, expected = (int, float), "a number"
    elif name == "unconfined":
        types, expected = (bool,), "true or false"
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ConfigError(f"{path}: {name}: expected {expected}, got {value!r}")
