"""The asyncio client's methods about registered voices."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask

from voxswap.v1 import voices_pb2
from voxswap_client import convert, upload
from voxswap_client._async.connection import AsyncConnection
from voxswap_client._backend import aio as backend
from voxswap_client.errors import RevisionConflictError
from voxswap_client.fields import fitting, invalid, words
from voxswap_client.retry import Repeat
from voxswap_client.types import Change, LabelMove, Registration, Voice, VoiceDetails

_RELABEL_TRIES = 5  # where others change the voice at the same time


class AsyncCatalog(AsyncConnection):
    """Lists, registers, changes and deletes voices. For one event loop."""

    async def list_voices(
        self,
        *,
        prefix: str = "",
        language: str = "",
        engine: str = "",
        tags: Sequence[str] = (),
        gender: str = "",
        search: str = "",
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Voice]:
        """Voices by id, each at its newest version. Asks for a page at a time, as they are read.

        A voice must have all of ``tags``; ``language`` "en" takes "en-US" too. Each word of
        ``search`` is to be in its id, its name or a tag. ``timeout_s`` is for each page.
        """
        with fitting():
            request = voices_pb2.ListVoicesRequest(
                prefix=prefix,
                language=language,
                engine=engine,
                tags=words(tags, "tags"),
                gender=gender,
                search=search,
                page_size=page_size,
            )
        while True:
            page = await self._unary(self._voices.ListVoices, request, timeout_s)
            for item in page.voices:
                yield convert.value(Voice, item)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_voice(self, ref: str, *, timeout_s: float | None = None) -> Voice:
        """One voice: ``id``, ``id@version`` or ``id@label``. Raises `VoiceNotFoundError`."""
        details = await self.get_voice_details(ref, timeout_s=timeout_s)
        return details.voice

    async def get_voice_details(self, ref: str, *, timeout_s: float | None = None) -> VoiceDetails:
        """One voice with its versions, labels and revision. Raises `VoiceNotFoundError`."""
        request = voices_pb2.GetVoiceRequest(voice=ref)
        answer = await self._unary(self._voices.GetVoice, request, timeout_s)
        return convert.value(VoiceDetails, answer)

    async def list_versions(self, voice_id: str, *, timeout_s: float | None = None) -> list[Voice]:
        """All versions of a voice, the newest first. Raises `VoiceNotFoundError`."""
        request = voices_pb2.ListVersionsRequest(voice=voice_id)
        answer = await self._unary(self._voices.ListVersions, request, timeout_s)
        return [convert.value(Voice, item) for item in answer.versions]

    async def list_changes(
        self, voice_id: str, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[Change]:
        """The history of a voice, the newest first. Asks for a page at a time, as they are read."""
        request = voices_pb2.ListChangesRequest(voice=voice_id, page_size=page_size)
        while True:
            page = await self._unary(self._voices.ListChanges, request, timeout_s)
            for item in page.changes:
                yield convert.value(Change, item)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def register_voice(
        self,
        manifest_json: bytes,
        components: Mapping[str, Path],
        *,
        label: str = "",
        version: int = 0,
        actor: str = "",
        on_progress: Callable[[int, int], object] | None = None,
        timeout_s: float | None = None,
    ) -> Registration:
        """Upload a voice. It appears whole or not at all, and nothing is tried a second time.

        ``manifest_json`` is the manifest without a version; ``components`` maps digests
        ("sha256:…") to local files. Only what the server lacks is read and sent; if it lacks
        something that has no file here, `InvalidRequestError` says so before anything is sent. A
        voice whose newest version is the same already gets no new one.

        ``label`` is given to the version once the server has let it speak: `SelfTestFailedError` if
        that gives no sound, and a version that this upload made is then gone again. ``version`` is
        the number that it must get (0: the next), `VersionExistsError` if that is taken.
        ``on_progress`` hears of bytes sent and bytes to send, in this loop; what it raises ends
        the upload. Without ``timeout_s`` there is no deadline, whatever the client's is.
        """
        attempts = self._attempts(math.inf if timeout_s is None else timeout_s, Repeat.NEVER)
        named = upload.components_of(manifest_json)
        missing: set[str] = set()
        for question in upload.questions(named):
            answer = await self._unary(self._voices.FindMissingComponents, question, timeout_s)
            missing.update(answer.digests)
        parts = await backend.run_blocking(upload.parts, named, missing, components)
        with fitting():
            first = voices_pb2.RegisterVoiceRequest(
                manifest_json=manifest_json, label=label, version=version, actor=actor
            )
        meter = upload.Meter(parts, on_progress)
        messages = upload.messages(first, parts)
        method, left_s = self._voices.RegisterVoice, attempts.next_timeout_s()
        done = await backend.send_all(method, messages, meter, left_s)
        return convert.value(Registration, done)

    async def create_preset(
        self,
        voice_id: str,
        base: str,
        *,
        emotions: Mapping[str, float] | None = None,
        intensity: float | None = None,
        controls: Mapping[str, float] | None = None,
        style_prompt: str | None = None,
        label: str = "",
        display_name: str = "",
        tags: Sequence[str] | None = None,
        gender: str | None = None,
        actor: str = "",
        timeout_s: float | None = None,
    ) -> Registration:
        """Make a voice of the parts of ``base`` that says its lines in its own way.

        Of a base that is a preset too, what is not said is that preset's. ``label`` as in
        `register_voice`. Never tried a second time.
        """
        with fitting():
            request = voices_pb2.CreatePresetRequest(
                voice=voice_id,
                base=base,
                emotions=emotions or {},
                intensity=intensity,
                controls=controls or {},
                style_prompt=style_prompt or "",
                label=label,
                display_name=display_name,
                tags=words(tags or (), "tags"),
                gender=gender or "",
                actor=actor,
            )
        answer = await self._unary(self._voices.CreatePreset, request, timeout_s, Repeat.NEVER)
        return convert.value(Registration, answer)

    async def update_voice(
        self,
        voice_id: str,
        *,
        display_name: str | None = None,
        tags: Sequence[str] | None = None,
        gender: str | None = None,
        traffic: Mapping[int, int] | None = None,
        revision: int | None = None,
        actor: str = "",
        note: str = "",
        timeout_s: float | None = None,
    ) -> Voice:
        """Change what is not None, all at once or nothing. Returns the voice as it is now.

        ``traffic`` maps versions to weights from 1 to 1000000; an empty one ends the split. With
        ``revision``, `RevisionConflictError` if the voice is not at it. ``actor`` and ``note`` are
        for the history.
        """
        changes = {"display_name": display_name, "tags": tags, "gender": gender, "traffic": traffic}
        paths = [path for path, value in changes.items() if value is not None]
        if not paths:
            raise invalid("update_mask", f"is empty; give at least one of {', '.join(changes)}")
        with fitting():
            voice = voices_pb2.Voice(
                id=voice_id,
                display_name=display_name or "",
                tags=words(tags or (), "tags"),
                gender=gender or "",
                traffic=[
                    voices_pb2.TrafficShare(version=version, weight=weight)
                    for version, weight in (traffic or {}).items()
                ],
            )
            request = voices_pb2.UpdateVoiceRequest(
                voice=voice,
                update_mask=FieldMask(paths=paths),
                revision=revision,
                actor=actor,
                note=note,
            )
        return await self._update(request, timeout_s)

    async def set_labels(
        self,
        ref: str,
        labels: Iterable[str],
        *,
        warm_up: bool = False,
        test_text: str = "",
        revision: int | None = None,
        actor: str = "",
        note: str = "",
        timeout_s: float | None = None,
    ) -> Voice:
        """Give ``id@version`` these labels and no others; other versions lose them.

        With ``warm_up`` the server first loads the version and lets it speak ``test_text``, or
        something of its own: `SelfTestFailedError` if that gives no sound. ``revision`` as in
        `update_voice`.
        """
        voice_id, _, number = ref.partition("@")
        if not (number.isascii() and number.isdecimal()):
            raise invalid("ref", f"{ref!r} has no version number; write it as npc/smith@3")
        with fitting():
            voice = voices_pb2.Voice(
                id=voice_id, version=int(number), labels=words(labels, "labels")
            )
            request = voices_pb2.UpdateVoiceRequest(
                voice=voice,
                update_mask=FieldMask(paths=["labels"]),
                revision=revision,
                warm_up=warm_up,
                test_text=test_text,
                actor=actor,
                note=note,
            )
        return await self._update(request, timeout_s)

    async def promote(
        self,
        ref: str,
        label: str = "stable",
        *,
        warm_up: bool = False,
        test_text: str = "",
        actor: str = "",
        note: str = "",
        timeout_s: float | None = None,
    ) -> LabelMove:
        """Move one label to ``id@version`` or ``id@label``, which keeps those that it has.

        Reads the voice and changes it at that revision, and begins anew if somebody else was
        faster: `RevisionConflictError` after some tries, or at the deadline. ``warm_up`` and
        ``test_text`` as in `set_labels`.
        """
        if "@" not in ref:  # which version a bare id means may change meanwhile
            told = f"{ref!r} does not say which version; write {ref}@3, or {ref}@canary by label"
            raise invalid("ref", told)
        details, voice = await self._relabel(
            ref,
            lambda labels: labels | {label},
            timeout_s,
            warm_up=warm_up,
            test_text=test_text,
            actor=actor,
            note=note,
        )
        return LabelMove(voice, details.labels.get(label, 0))

    async def withdraw_label(
        self,
        voice_id: str,
        label: str,
        *,
        actor: str = "",
        note: str = "",
        timeout_s: float | None = None,
    ) -> int:
        """Take a label away from the version that it names; that version's number.

        Raises `VoiceNotFoundError` if the voice has no such label, and `RevisionConflictError` as
        `promote` does.
        """
        details, _ = await self._relabel(
            f"{voice_id}@{label}",
            lambda labels: labels - {label},
            timeout_s,
            actor=actor,
            note=note,
        )
        return details.voice.version

    async def roll_back(
        self,
        voice_id: str,
        label: str = "stable",
        *,
        actor: str = "",
        note: str = "",
        timeout_s: float | None = None,
    ) -> LabelMove:
        """Move a label back to the version that it named before.

        Raises `NothingToRollBackError` if it never named another. Never tried a second time.
        """
        request = voices_pb2.RollBackLabelRequest(
            voice=voice_id, label=label, actor=actor, note=note
        )
        answer = await self._unary(self._voices.RollBackLabel, request, timeout_s, Repeat.NEVER)
        return convert.value(LabelMove, answer)

    async def delete_voice(
        self, ref: str, *, actor: str = "", note: str = "", timeout_s: float | None = None
    ) -> tuple[int, ...]:
        """Delete ``id@version``, or all versions of ``id``. Returns those that are gone.

        Raises `VersionInUseError` if a label or a traffic split names one. Streams that speak go on
        to their end. Never tried a second time.
        """
        request = voices_pb2.DeleteVoiceRequest(voice=ref, actor=actor, note=note)
        answer = await self._unary(self._voices.DeleteVoice, request, timeout_s, Repeat.NEVER)
        return tuple(answer.versions)

    async def _relabel(
        self,
        ref: str,
        change: Callable[[frozenset[str]], frozenset[str]],
        timeout_s: float | None,
        *,
        warm_up: bool = False,
        test_text: str = "",
        actor: str,
        note: str,
    ) -> tuple[VoiceDetails, Voice]:
        """Change the labels of the version that ``ref`` means; the voice before and after.

        Begins anew if somebody else has changed it since it was read.
        """
        attempts = self._attempts(timeout_s)
        tries_left = _RELABEL_TRIES
        while True:
            details = await self.get_voice_details(ref, timeout_s=attempts.call_timeout_s())
            voice = details.voice
            labels = frozenset(name for name, n in details.labels.items() if n == voice.version)
            wanted = change(labels)
            if wanted == labels and not warm_up:  # nor has it to prove itself
                return details, voice
            try:
                voice = await self.set_labels(
                    voice.ref,
                    sorted(wanted),
                    warm_up=warm_up,
                    test_text=test_text,
                    revision=details.revision,
                    actor=actor,
                    note=note,
                    timeout_s=attempts.call_timeout_s(),
                )
                return details, voice
            except RevisionConflictError:
                tries_left -= 1
                if not tries_left or attempts.remaining_s() == 0:
                    raise

    async def _update(
        self, request: voices_pb2.UpdateVoiceRequest, timeout_s: float | None
    ) -> Voice:
        # With a revision it happens once at most, however often it is sent.
        repeat = Repeat.IF_ASKED if request.HasField("revision") else Repeat.NEVER
        answer = await self._unary(self._voices.UpdateVoice, request, timeout_s, repeat)
        return convert.value(Voice, answer.voice)
