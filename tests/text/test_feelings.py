"""What is felt in a text: what must be found, and above all what must not."""

from __future__ import annotations

import pytest

from voxswap_registry.emotions import EMOTIONS
from voxswap_server.text.feelings.lexicon import LEXICONS
from voxswap_server.text.feelings.reading import EMPHATIC, SURE, felt_in, readable

SAYS = {
    "en": [
        ("I'm so happy to see you.", "happy"),
        ("Oh, I am really sad today.", "sad"),
        ("How dare you!", "angry"),
        ("Because I am furious.", "angry"),
        ("We're terrified, all of us.", "fearful"),
        ("Help!", "fearful"),
        ("Wow, look at that", "surprised"),
        ("Wow, really?", "surprised"),
        ("Ugh, it stinks.", "disgusted"),
        ("\u201cI\u2019m so happy.\u201d", "happy"),
    ],
    "de": [
        ("Ich bin so glücklich!", "happy"),
        ("Ach, ich bin traurig.", "sad"),
        ("Jetzt bin ich aber wütend.", "angry"),
        ("Ich habe große Angst.", "fearful"),
        ("Das gibt's nicht!", "surprised"),
        ("Igitt, eine Spinne.", "disgusted"),
    ],
    "fr": [
        ("Je suis très heureuse.", "happy"),
        ("Je suis triste.", "sad"),
        ("Je suis vraiment en colère !", "angry"),
        ("J\u2019ai peur.", "fearful"),
        ("Mon Dieu !", "surprised"),
        ("Beurk, quelle odeur.", "disgusted"),
    ],
    "es": [
        ("¡Hurra!", "happy"),
        ("Estoy muy triste.", "sad"),
        ("Estoy furioso.", "angry"),
        ("Tengo mucho miedo.", "fearful"),
        ("¡Dios mío!", "surprised"),
        ("¡Qué asco!", "disgusted"),
    ],
    "zh": [
        ("我很高兴认识你。", "happy"),
        ("我真的太难过了", "sad"),
        ("你怎么敢！", "angry"),
        ("救命！", "fearful"),
        ("哇，好大的雪", "surprised"),
        ("真恶心。", "disgusted"),
    ],
}
SAYS_NOTHING = {
    "en": [
        "The sad king sat on his throne.",  # somebody else's
        "He is angry.",
        "You think I am angry.",
        "I'm not happy.",  # negations
        "I am never afraid of you.",
        "I don't feel sad.",
        "I'm happy you didn't leave.",  # a clause with one says nothing
        "Am I angry? If I am angry, run.",  # questions and conditions
        "I am so happy?",
        'He said "I am so happy" and left.',  # quotations
        "\u201cHow dare you!\u201d he cried.",
        "I'm afraid the shop is closed.",  # figures of speech
        "There is no way out.",
        "Gross domestic product rose.",
        "Help yourself.",
        "Happy birthday, madam, from the Ewing family.",
        "Ewe and lamb.",
        "",
    ],
    "de": [
        "Er ist wütend.",
        "Ich bin nicht traurig.",
        "Ich habe keine Angst.",
        "Sie sagte: „Ich bin so glücklich“ und ging.",
        "Bin ich traurig?",
    ],
    "fr": [
        "Il est triste.",
        "Je ne suis pas triste.",
        "Je n'ai pas peur.",
        "Il a dit « je suis furieux ».",
        "J'ai une surprise.",
    ],
    "es": ["Está triste.", "No estoy triste.", "No tengo miedo.", "Dijo «estoy furioso»."],
    "zh": [
        "他很高兴。",
        "我不高兴。",
        "我没有生气。",
        "他说「我很高兴」。",
        "我爱人很伤心。",
        "我很高兴吗？",
    ],
}


@pytest.mark.parametrize("language", sorted(SAYS))
def test_what_a_text_says_is_found(language: str) -> None:
    found = {text: sorted(felt_in(text, [language])) for text, _ in SAYS[language]}
    assert found == {text: [emotion] for text, emotion in SAYS[language]}
    assert {emotion for _, emotion in SAYS[language]} == set(EMOTIONS)


@pytest.mark.parametrize("language", sorted(SAYS_NOTHING))
def test_what_it_does_not_say_is_not(language: str) -> None:
    found = {text: felt_in(text, [language]) for text in SAYS_NOTHING[language]}
    assert {text: felt for text, felt in found.items() if felt} == {}


def test_how_much_there_is_depends_on_how_it_is_said() -> None:
    assert felt_in("I'm so sad.", ["en-US"]) == {"sad": SURE}
    assert felt_in("I'm so sad!", ["en-US"]) == {"sad": EMPHATIC}
    assert felt_in("Wow, wow, I'm scared.", ["en"]) == pytest.approx(
        {"surprised": 2 / 3 * SURE, "fearful": SURE / 3}
    )
    long = felt_in("Wow! Ugh! Alas! " * 1000, ["en"])
    assert sum(long.values()) == pytest.approx(EMPHATIC)


def test_every_language_of_a_voice_is_read_and_no_other() -> None:
    assert felt_in("Wow，我很高兴", ["zh-CN", "en"]).keys() == {"surprised", "happy"}
    assert felt_in("我很高兴", ["en"]) == felt_in("Wow!", ["pt"]) == felt_in("Wow!", []) == {}
    assert readable(["zh-CN", "pt", "zh", "en_GB"]) == ["zh", "en"]
    assert set(readable()) == set(LEXICONS) == set(SAYS) == set(SAYS_NOTHING)


def test_no_word_stands_for_two_feelings() -> None:
    for lexicon in LEXICONS.values():
        words = [
            word
            for table in (lexicon.cries, lexicon.calls, lexicon.states)
            for line in table.values()
            for word in line.split("|")
        ]
        assert words == [word.lower() for word in words]
        assert {name for t in (lexicon.cries, lexicon.states) for name in t} <= set(EMOTIONS)
        by_word = {
            (word, name)
            for table in (lexicon.cries, lexicon.calls, lexicon.states)
            for name, line in table.items()
            for word in line.split("|")
        }
        assert len(by_word) == len(set(words))
