"""How many examples a property test tries: all of them in CI, a tenth at a developer's desk.

The profiles are `ci` and `dev`; HYPOTHESIS_PROFILE chooses one, else CI runs `ci` and others `dev`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings

_WHOLE, _TENTH = 100, 10

settings.register_profile("ci", max_examples=_WHOLE, deadline=None, print_blob=True)
settings.register_profile("dev", max_examples=_TENTH, deadline=None)


def load_profile() -> None:
    """Take the profile that the environment asks for."""
    default = "ci" if os.environ.get("VOXSWAP_CI") else "dev"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", default))


def examples(most: int, **more: Any) -> settings:
    """Settings of a test that tries ``most`` examples in CI, and its share of them elsewhere.

    No deadline for one example: that would make the machine's mood a failure.
    """
    share = settings.get_profile(settings.get_current_profile_name()).max_examples / _WHOLE
    return settings(max_examples=max(3, round(most * share)), deadline=None, **more)


#: When tests import.
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
