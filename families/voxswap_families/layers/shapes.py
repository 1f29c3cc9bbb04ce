"""Whether tensors are those that an architecture has: names and shapes, before all else."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from voxswap_registry.errors import EngineError

Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(expected: Shapes, found: Shapes) -> None:
    """Raise `EngineError` unless ``found`` are just the tensors ``expected``.

    Names and shapes alone, so what does not fit costs neither weights nor a skeleton: past this
    check, the model is as large as the file.
    """
    faults = [
        f"{len(names)} tensors {what} ({some_names(names)})"
        for what, names in (
            ("are missing", expected.keys() - found.keys()),
            ("are unknown", found.keys() - expected.keys()),
            (
                "have another shape",
                {n for n, s in expected.items() if n in found and found[n] != s},
            ),
        )
        if names
    ]
    if faults:
        raise EngineError(
            "the weights do not fit their manifest's architecture: "
            f"{'; '.join(faults)}; import the voice again"
        )


def some_names(names: Collection[str]) -> str:
    """The first few; a stranger made them, and they may be of any length."""
    return ", ".join(ascii(name)[:48] for name in sorted(names)[:2])
