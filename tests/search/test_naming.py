"""The names of models on the command line."""

from pathlib import Path

import pytest

from rstar_fast.errors import ConfigError
from rstar_fast.search.naming import parse_model_name


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
