"""docs/expression.md says of families what they say of themselves."""

from __future__ import annotations

from tests.families.expression_tables import BEGIN, DOCUMENT, TABLES, written


def test_the_tables_are_as_the_code_is() -> None:
    document = DOCUMENT.read_text("utf-8")
    assert all(BEGIN.format(name) in document for name in TABLES)
    again = "python -m tests.families.expression_tables"
    assert written(document) == document, f"docs/expression.md: {again}"
