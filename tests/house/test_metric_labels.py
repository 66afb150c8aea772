"""A label that the export does not know is left out, and what it told apart becomes one number."""

import ast
from collections.abc import Iterator
from pathlib import Path

from infra.telemetry.otlp import _LABELS

ROOT = Path(__file__).resolve().parents[2]
REPORTING = {"count", "measure", "gauge"}


def labels_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REPORTING:
            reporter = ast.unparse(node.func.value)
            if reporter.endswith("telemetry"):
                yield from (keyword.arg for keyword in node.keywords if keyword.arg is not None)


def test_every_label_that_is_given_is_exported() -> None:
    files = [path for package in ("api", "app", "domain", "infra") for path in (ROOT / package).rglob("*.py")]
    given = {label for path in files for label in labels_in(path.read_text())}
    assert {"queue", "provider", "decision"} <= given
    assert given <= _LABELS
