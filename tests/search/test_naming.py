"""The names of models on the command line."""

from pathlib import Path

import pytest

from rstar_fast.errors import ConfigError
from rstar_fast.search.naming import parse_model_name
from rstar_fast.search.vllm_engines import memory_shares


@pytest.mark.parametrize(
    ("name", "engine", "model", "recorded"),
    [
        ("embedded", "local", "embedded", "embedded"),
        ("Qwen/Qwen2.5", "local", "Qwen/Qwen2.5", "Qwen/Qwen2.5"),
        ("vllm:Qwen/Qwen2.5", "vllm", "Qwen/Qwen2.5", "vllm:Qwen/Qwen2.5"),
        ("https://a/v1#Qwen/Qwen2.5", "server", "Qwen/Qwen2.5", "server:Qwen/Qwen2.5"),
        ("http://a:1/v1, http://b:2/v1#m#2", "server", "m#2", "server:m#2"),
    ],
)
def test_a_name_says_which_engine(name: str, engine: str, model: str, recorded: str) -> None:
    found = parse_model_name(name)
    assert (found.engine, found.model, found.recorded) == (engine, model, recorded)


def test_folders_are_recorded_as_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy").mkdir()
    assert parse_model_name("policy").recorded == str(tmp_path / "policy")
    assert parse_model_name("vllm:policy").recorded == f"vllm:{tmp_path / 'policy'}"


def test_a_server_and_vllm_need_a_model() -> None:
    with pytest.raises(ConfigError, match="the name of the model behind") as caught:
        parse_model_name("http://user:secret@host/v1")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="without user, password") as caught:
        parse_model_name("http://user:secret@host/v1#m")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="vllm:DIR"):
        parse_model_name("vllm:")


@pytest.mark.parametrize(
    ("policy", "ppm", "asked", "shares"),
    [
        ("vllm:a", "vllm:b", (None, None), (0.55, 0.3)),
        ("vllm:a", "vllm:b", (0.7, None), (0.7, 0.3)),
        ("vllm:a", "b", (None, None), (0.6, None)),
        ("a", "vllm:b", (None, None), (None, 0.4)),
        ("a", "vllm:b", (None, 0.2), (None, 0.2)),
        ("a", "b", (None, None), (None, None)),
        # Nothing else is on the card.
        ("vllm:a", None, (None, None), (None, None)),
        ("vllm:a", "http://h/v1#b", (0.8, None), (0.8, None)),
    ],
)
def test_vllm_leaves_room_on_the_card(
    policy: str,
    ppm: str | None,
    asked: tuple[float | None, float | None],
    shares: tuple[float | None, float | None],
) -> None:
    names = parse_model_name(policy), ppm and parse_model_name(ppm)
    assert memory_shares(names[0], names[1] or None, *asked) == shares


def test_only_vllm_takes_a_share() -> None:
    policy, ppm = parse_model_name("a"), parse_model_name("vllm:b")
    with pytest.raises(ConfigError, match="policy_memory: only vLLM takes a share"):
        memory_shares(policy, ppm, 0.5, 0.2)
    with pytest.raises(ConfigError, match="ppm_memory: only vLLM takes a share"):
        memory_shares(policy, None, None, 0.2)
