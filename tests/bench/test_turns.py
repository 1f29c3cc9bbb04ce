"""Turns, and servers of other commits."""

from __future__ import annotations

import os

import pytest

from bench.turns import in_turns, tree_of


def test_whoever_went_first_goes_last_in_the_next_round() -> None:
    went: list[str] = []

    def measure(name: str) -> float:
        went.append(name)
        return len(went)

    found = in_turns(3, lambda: measure("a"), lambda: measure("b"))
    assert "".join(went) == "baabba"
    assert found == [[2, 3, 6], [1, 4, 5]]


def test_the_tree_of_a_commit_comes_first_and_is_gone_afterwards() -> None:
    with tree_of("HEAD") as tree:
        # Which package is found there, `tree_of` itself has seen to.
        assert (tree.path / "server/voxswap_server/__main__.py").is_file()
        paths = tree.environment()["PYTHONPATH"].split(os.pathsep)
        assert paths[0] == str(tree.path / "server")
        assert str(tree.path / "proto") in paths
    assert not tree.path.exists()


def test_a_commit_that_there_is_not_is_named() -> None:
    with pytest.raises(SystemExit, match="--against no-such-commit"), tree_of("no-such-commit"):
        pass
