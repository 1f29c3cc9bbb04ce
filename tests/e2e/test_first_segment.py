"""A long first sentence over real gRPC: parted for who waits, and whole for a file."""

from __future__ import annotations

from typing import Any

from tests.e2e.servers import serving
from tests.registry.drafts import root_of
from voxswap_client import Client
from voxswap_registry.store import Registry

TEXT = (
    "The bridge is closed after dark and nobody may pass, so turn back now or pay the toll to the "
    "guards. They never sleep."
)
CACHE = {"audio_cache_bytes": "64MiB", "most_ahead_s": 3_600}


def test_who_waits_hears_the_first_clause_and_a_file_is_whole(joe_registry: Registry) -> None:
    asked: Any = {"seed": 1, "marks": ["word"], "pacing": "realtime"}
    with serving(root_of(joe_registry), first_segment="clause", **CACHE) as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            parted = client.say("joe", TEXT, **asked)
            again = client.say("joe", TEXT, line_class="bark", **asked)
            whole = client.say("joe", TEXT, line_class="cinematic", **asked)
            file = client.say("joe", TEXT, **asked | {"pacing": "none"})
    assert [one.header.cached for one in (parted, again, whole, file)] == [False, True, False, True]
    assert (again.audio, again.marks) == (parted.audio, parted.marks)
    assert file.audio == whole.audio != parted.audio
    for result in (parted, whole):
        assert [mark.text for mark in result.marks] == [w.strip(",.") for w in TEXT.split()]
        starts = [mark.start_sample for mark in result.marks]
        assert starts == sorted(set(starts))
        assert starts[-1] < result.trailer.total_samples
    with serving(root_of(joe_registry), first_segment="sentence") as thread:
        with Client(thread.server.address, timeout_s=60) as client:
            assert client.say("joe", TEXT, **asked).audio == whole.audio
