"""Scripted engines in place of models, for the tests of this folder that ask for them."""

from pathlib import Path

import pytest
from scripted_cli import scripted_open_searcher

from rstar_fast.search import engines


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder. Searches of this process get the scripted engines."""
    monkeypatch.setattr(engines, "open_searcher", scripted_open_searcher(0.0))
    monkeypatch.chdir(tmp_path)
