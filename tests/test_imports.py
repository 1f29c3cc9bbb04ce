"""What files of tests may import of each other."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).parent


def imported(path: Path) -> set[str]:
    """The modules that a file of Python names, whole and as where names are taken from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_file_of_tests_imports_another() -> None:
    """What several need stands in a module without tests: nobody runs one file's to change it."""
    folders = (HERE, HERE.parent / "bench")
    files = [path for folder in folders for path in folder.rglob("*.py")]
    closed = {
        ".".join(path.relative_to(HERE.parent).with_suffix("").parts)
        for path in HERE.rglob("*.py")
        if path.stem == "conftest" or path.stem.startswith("test_")
    }
    wrong = {str(path): named for path in files if (named := imported(path) & closed)}
    assert len(closed) > 150
    assert wrong == {}
