"""What a model family tells the registry, which imports none: found by entry points.

A package that has a family names it under the group `voxswap.families` of its metadata: the name
that manifests have as their ``engine``, and the object. See docs/families.md.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from voxswap_registry.controls import ON_AUDIO
from voxswap_registry.errors import FieldViolation

if TYPE_CHECKING:
    from voxswap_registry.manifest import Manifest

GROUP = "voxswap.families"
_LOGGER = logging.getLogger(__name__)


class Rules(Protocol):
    """What is true of every voice of a family. To be had without its heavy libraries."""

    @property
    def role_limits(self) -> Mapping[str, int]:
        """The roles of its components, each of which a voice has once, and the most bytes of one.

        A voice has no other components.
        """
        ...

    @property
    def optional_roles(self) -> Collection[str]:
        """Of those roles, the ones that a voice may lack. Ask `optional_roles_of`."""
        ...

    @property
    def forms(self) -> Mapping[str, Collection[str]]:
        """The forms that a role's component may have, beside the one that has no name."""
        ...

    @property
    def graph_checks(self) -> Mapping[str, Callable[[bytes], None]]:
        """The roles whose components are programs, and how each is looked over.

        They are read only if an operator trusts their digest. Whatever looks one over raises
        `GraphError` for what nobody should run, and may block for a second.
        """
        ...

    @property
    def controls(self) -> Collection[str]:
        """Those of `controls.CONTROLS` that its voices carry out; one may have fewer.

        Not those of `controls.ON_AUDIO` that only some of them do: see `carried_of`.
        """
        ...

    @property
    def emotions(self) -> Collection[str]:
        """The names of those that its voices may have."""
        ...

    @property
    def style_prompts(self) -> bool:
        """Whether its voices take a style in words. Ask `style_prompts_of`."""
        ...

    @property
    def style_size(self) -> int:
        """The length of a vector in its style space; 0: it has none. Ask `style_size_of`."""
        ...

    @property
    def style_role(self) -> str:
        """The component that a style is for: it means nothing to another. Ask `style_role_of`."""
        ...

    def faults(self, manifest: Manifest) -> Iterator[FieldViolation]:
        """What is wrong with ``manifest``, besides its roles and sizes. From the manifest alone."""
        ...


class GraphError(ValueError):
    """A graph that should not be run; says why, as in "the graph {error}"."""


@functools.cache
def installed() -> Mapping[str, Any]:
    """Every family by its name; each has its `Rules`. Finding them takes some 20 ms, once.

    One that cannot be imported is logged and left out: others' voices need not suffer.
    """
    found: dict[str, Any] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found[entry.name] = entry.load()
        except Exception:
            _LOGGER.exception("the family %s (%s) cannot be imported", entry.name, entry.value)
    return MappingProxyType(found)


def rules_of(engine: str) -> Rules | None:
    """Those of the family with this name; None if it is not installed here."""
    family: Rules | None = installed().get(engine)
    return family


def forms_of(rules: Rules, role: str) -> Collection[str]:
    """The forms that a component with this role may have; a family may be older than forms are."""
    forms: Mapping[str, Collection[str]] = getattr(rules, "forms", {})
    return forms.get(role, ())


def optional_roles_of(rules: Rules) -> Collection[str]:
    """The roles that a voice may lack; a family may be older than optional roles are."""
    roles: Collection[str] = getattr(rules, "optional_roles", ())
    return roles


def style_prompts_of(rules: Rules) -> bool:
    """Whether its voices take a style in words; a family may be older than such styles are."""
    return bool(getattr(rules, "style_prompts", False))


def style_size_of(rules: Rules) -> int:
    """Of a vector in its style space, or 0; a family may be older than style spaces are."""
    size: int = getattr(rules, "style_size", 0)
    return size


def style_role_of(rules: Rules) -> str:
    """The role of the component that its styles are for; empty if it has none."""
    role: str = getattr(rules, "style_role", "")
    return role


def native_controls_of(manifest: Manifest) -> Collection[str]:
    """The controls that a voice's engine carries out; of an older manifest, those of its family.

    Of those in `controls.ON_AUDIO`, whatever its family says that it does: a manifest need not list
    them, and may be older than they are.
    """
    rules = rules_of(manifest.engine)
    listed = manifest.controls
    if listed is None:
        listed = () if rules is None else tuple(rules.controls)
    carried = () if rules is None else carried_of(rules, manifest)
    others = (name for name in listed if name not in ON_AUDIO)
    return (*others, *(name for name in ON_AUDIO if name in carried))


def carried_of(rules: Rules, manifest: Manifest) -> Collection[str]:
    """What of `controls.ON_AUDIO` the engine does; a family may be older than that question is."""
    carried = getattr(rules, "carried", None)
    if carried is None:
        return rules.controls
    found: Collection[str] = carried(manifest)
    return found


def controls_of(manifest: Manifest) -> Collection[str]:
    """The controls that a request may ask a voice for, whoever carries them out."""
    native = native_controls_of(manifest)
    if rules_of(manifest.engine) is None:
        return native
    return (*native, *(name for name in ON_AUDIO if name not in native))
