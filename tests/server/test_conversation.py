"""A text that is still being written, as a script: it comes as soon as it is certain."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.executors import settle
from voxswap_server.speech.conversation import Conversation
from voxswap_server.speech.script import WholeText
from voxswap_server.text.segmentation.segments import segment

TEXT = "Who goes there? Stop, in the name of the king. I said stop! Good."


async def read(conversation: Conversation) -> list[str]:
    found = []
    while (part := await conversation.next()) is not None:
        found.append(part.text)
    return found


async def test_fragments_become_the_segments_of_the_whole() -> None:
    conversation = Conversation(most_waiting=1000)
    reading = asyncio.ensure_future(read(conversation))
    for character in TEXT:
        conversation.push(character)
        await settle()
    conversation.end()
    assert await reading == [part.text for part in segment(TEXT)]


async def test_a_sentence_is_there_before_the_next_one_is() -> None:
    conversation = Conversation(most_waiting=1000)
    asking = asyncio.ensure_future(conversation.next())
    conversation.push("Who goes there? ")
    await settle()
    assert not conversation.is_ready
    conversation.push("St")
    part = await asking
    assert part is not None
    assert part.text == "Who goes there?"


async def test_a_flush_makes_a_sentence_of_what_there_is() -> None:
    conversation = Conversation(most_waiting=1000)
    conversation.push("Who goes")
    assert not conversation.is_ready
    conversation.flush()
    first = await conversation.next()
    conversation.push(" there?")
    conversation.end()
    second = await conversation.next()
    assert first is not None
    assert second is not None
    assert (first.text, second.text, second.start) == ("Who goes", "there?", 9)
    assert await conversation.next() is None


async def test_a_cut_forgets_what_waits_and_what_is_half_written() -> None:
    conversation = Conversation(most_waiting=1000)
    conversation.push("One. Two. Thr")
    assert (await conversation.next()).text == "One."
    conversation.cut()
    conversation.push("Four.")
    conversation.end()
    assert await read(conversation) == ["Four."]


async def test_who_writes_too_much_waits_for_room() -> None:
    conversation = Conversation(most_waiting=30)
    conversation.push("A sentence of some length. Another one of some length. And")
    writing = asyncio.ensure_future(conversation.make_room())
    await settle()
    assert not writing.done()
    await conversation.next()
    await writing
    assert conversation.characters_left == len("Another one of some length.")


async def test_cutting_makes_room() -> None:
    conversation = Conversation(most_waiting=10)
    conversation.push("A sentence of some length. And")
    writing = asyncio.ensure_future(conversation.make_room())
    await settle()
    assert not writing.done()
    conversation.cut()
    await writing


async def test_a_fault_is_raised_where_the_text_is_asked_for() -> None:
    conversation = Conversation(most_waiting=1000)
    asking = asyncio.ensure_future(conversation.next())
    await settle()
    conversation.fail(ValueError("what the client did"))
    with pytest.raises(ValueError, match="what the client did"):
        await asking


async def test_cancelling_who_asks_loses_nothing() -> None:
    conversation = Conversation(most_waiting=1000)
    asking = asyncio.ensure_future(conversation.next())
    await settle()
    asking.cancel()
    await settle()
    conversation.push("One. Two.")
    conversation.end()
    conversation.end()
    assert await read(conversation) == ["One.", "Two."]


async def test_what_is_put_back_comes_first_in_both_kinds_of_script() -> None:
    conversation = Conversation(most_waiting=1000)
    conversation.push("One. Two. Three.")
    conversation.end()
    for script in (conversation, WholeText("One. Two. Three.")):
        first, second = await script.next(), await script.next()
        assert first is not None
        assert second is not None
        script.put_back([first, second])
        found = [(await script.next()).text for _ in range(3)]
        assert found == ["One.", "Two.", "Three."]
        assert await script.next() is None


async def test_a_whole_text_is_cut_as_far_as_it_is_asked_for() -> None:
    text = "A sentence of forty characters, or so. " * 2500
    script = WholeText(text)
    first = await script.next()
    assert first is not None
    assert script.characters_left == len(text) - len(first.text)
    script.cut()
    assert await script.next() is None
    assert script.characters_left == 0
