"""Runs a bench in this process and reads the document that it prints."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def document_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[ModuleType, str], dict[str, Any]]:
    """Return a function that runs a bench with arguments and returns its JSON document."""

    def run(bench: ModuleType, arguments: str) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments.split()])
        bench.main()
        document: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return document

    return run
