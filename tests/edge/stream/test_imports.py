"""The signal path is pure: what it may import is listed here, and nothing of the rest of edge is on the list."""

import ast
from pathlib import Path

import edge.stream

ALLOWED = {
    "numpy",
    "pywt",
    "dataclasses",
    "enum",
    "itertools",
    "math",
    "typing",
    "collections",
    "edge.stream",
    "firmware_bridge",
}


def imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return names


def test_the_signal_path_imports_numbers_and_the_layer_below_only() -> None:
    files = list(Path(edge.stream.__file__).parent.glob("*.py"))
    assert len(files) >= 5
    for file in files:
        for name in imported(file.read_text(encoding="utf-8")):
            assert any(name == root or name.startswith(f"{root}.") for root in ALLOWED), f"{file.name} imports {name}"
