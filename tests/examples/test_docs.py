"""The documentation keeps its word: links lead somewhere, and its Python runs."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def by_name(pages: list[Path]) -> list[str]:
    return [page.name for page in pages]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def python_of(page: Path) -> str:
    """All blocks of a page that begin with ```python, as one program. ```python no-run is not."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return "\n".join(blocks)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
            if not target.startswith("http"):
                yield page, target


def test_every_link_leads_somewhere() -> None:
    found = list(links())
    assert len(found) > 30
    for page, target in found:
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    examples = [path.name for path in (ROOT / "examples").iterdir() if path.is_file()]
    assert [name for name in (*pages, *examples) if name not in index] == []


WITH_PYTHON = [page for page in PAGES if python_of(page)]


def test_most_pages_have_python() -> None:
    assert len(WITH_PYTHON) >= 5


@pytest.mark.parametrize("page", WITH_PYTHON, ids=by_name(WITH_PYTHON))
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(python_of(page))
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=by_name(PAGES))
def test_lines_outside_of_tables_are_short(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []


def floors() -> dict[str, int]:
    """The floor of every part of the package, by the first table of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


def imports_of(path: Path) -> Iterator[str]:
    """The parts of the package that a module imports when it runs."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    checked = [node for node in nodes if isinstance(node, ast.If)]
    typing = [node for node in checked if ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in typing for inner in ast.walk(node)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            package, _, rest = (node.module or "").partition(".")
            if package == "rstar_fast":
                names = [rest] if rest else [alias.name for alias in node.names]
                yield from (name.partition(".")[0] for name in names)


def test_imports_run_downward() -> None:
    package, floor_of = ROOT / "rstar_fast", floors()
    found = {path.relative_to(package).parts[0].partition(".")[0] for path in package.rglob("*.py")}
    assert found - {"__init__", "__main__"} <= set(floor_of)
    for path in package.rglob("*.py"):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        for name in () if part.startswith("__") else imports_of(path):
            below = floor_of[name] < floor_of[part] or name in (part, "errors")
            assert below, f"{path.relative_to(ROOT)} imports {name}"
