"""Scripts of `voxswap render`: what they may say, their faults, file names, and the order."""

from __future__ import annotations

import io
import json
import os
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from voxswap_client.render.names import TakenNames, file_name
from voxswap_client.render.plan import in_order
from voxswap_client.render.records import MAX_LINE_BYTES
from voxswap_client.render.script import COLUMNS, Defaults, Line, Script, read_script
from voxswap_client.types import Encoding

PLAIN = Defaults()


def read(script: str | bytes, defaults: Defaults = PLAIN) -> Script:
    return read_script(io.BytesIO(script.encode() if isinstance(script, str) else script), defaults)


def lines(script: str | bytes, defaults: Defaults = PLAIN) -> list[Line]:
    found = read(script, defaults)
    assert found.faults.shown == []
    return found.lines


def faults(script: str | bytes) -> list[tuple[int, str]]:
    found = read(script).faults
    assert found.count == len(found.shown)
    return [(fault.number, fault.message) for fault in found.shown]


WHOLE = Line(
    2,
    "gate/halt",
    "gate/halt.flac",
    "npc/smith@3",
    "Halt, you!",
    {
        "encoding": Encoding.FLAC,
        "speaker": "anna",
        "sample_rate_hertz": 16000,
        "seed": 2**64 - 1,
        "rate": 1.5,
        "noise_scale": 0.0,
        "duration_noise_scale": 0.25,
    },
    -23.0,
)


def test_a_csv_with_every_column() -> None:
    header = "id,voice,text,speaker,seed,rate,noise_scale,duration_noise_scale,encoding,"
    row = 'gate/halt,npc/smith@3,"Halt, you!",anna,18446744073709551615,1.5,0,.25,FLAC,'
    assert lines(f"{header}sample_rate,loudness\n{row}16000,-23\n") == [WHOLE]


def test_the_same_in_json() -> None:
    document = {
        "id": "gate/halt",
        "voice": "npc/smith@3",
        "text": "Halt, you!",
        "speaker": "anna",
        "seed": "18446744073709551615",
        "rate": 1.5,
        "noise_scale": 0,
        "duration_noise_scale": 0.25,
        "format": "flac",
        "sample_rate": 16000,
        "loudness": -23,
    }
    assert lines(f"\n{json.dumps(document)}\n\n") == [WHOLE]


def test_every_column_has_been_tried() -> None:
    tried = {"id", "voice", "text", "speaker", "seed", "encoding", "format"}
    tried |= {"rate", "noise_scale", "duration_noise_scale", "sample_rate", "loudness"}
    tried |= {"pitch_semitones", "pitch_range", "volume_db", "pause_scale"}
    tried |= {"emotion", "intensity", "fallback", "style_prompt"}
    assert set(COLUMNS) == tried


def test_how_a_line_is_felt() -> None:
    header = "voice,text,emotion,intensity,fallback,style_prompt,pitch_semitones,pitch_range,"
    row = 'a,Halt!,"angry=0.7, sad = .2",1.5,prosody,whispering,-2,0.5,'
    (line,) = lines(f"{header}volume_db,pause_scale\n{row}3,2\n")
    assert line.options == {
        "encoding": Encoding.WAV,
        "emotion": {"angry": 0.7, "sad": 0.2},
        "intensity": 1.5,
        "fallback": "prosody",
        "style_prompt": "whispering",
        "pitch_semitones": -2.0,
        "pitch_range": 0.5,
        "volume_db": 3.0,
        "pause_scale": 2.0,
    }
    (line,) = lines("voice,text,emotion\na,b,auto\n")
    assert (line.options["emotion"], line.options["fallback"]) == ("auto", "prosody")
    (line,) = lines("voice,text,emotion,fallback\na,b,sad,none\n")
    assert line.options["fallback"] == "none"
    for wrong in ("angry=x", "angry=", "angry,angry", ",sad", "auto,sad"):
        ((_, told),) = faults(f'voice,text,emotion\na,b,"{wrong}"\n')
        assert told.startswith("emotion: ")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("parted", [",", ";", "\t"])
def test_what_spreadsheets_write(start: str, end: str, parted: str) -> None:
    rows = [["Voice", " text "], ["a", '"one, two; three\t"""'], ["", ""], ["b", '"on\ntwo lines"']]
    text = start + "".join(parted.join(row) + end for row in [*rows, ["c", "3"]])
    skipped = start.count("\n")
    assert [(line.number, line.voice, line.text) for line in lines(text)] == [
        (skipped + 2, "a", 'one, two; three\t"'),
        (skipped + 4, "b", "on\ntwo lines"),
        (skipped + 6, "c", "3"),
    ]


def test_a_line_without_an_id_is_named_after_its_number() -> None:
    assert [line.file for line in lines("voice,text,id\na,1,\nb,2,x\nc,3\n")] == [
        *("000002.wav", "x.wav", "000004.wav")
    ]


@pytest.mark.parametrize(
    ("line_id", "column", "default", "encoding", "file"),
    [
        ("x", "", None, "wav", "x.wav"),
        ("x", "", "mp3", "mp3", "x.mp3"),
        ("x", "flac", "mp3", "flac", "x.flac"),
        ("x.ogg", "", None, "ogg_opus", "x.ogg.opus"),
        ("x.mp3", "", None, "mp3", "x.mp3"),
        ("x.MP3", "", None, "mp3", "x.MP3"),
        ("x.mp3", "wav", None, "wav", "x.mp3.wav"),
        ("x.wav", "pcm_f32le", None, "pcm_f32le", "x.wav"),
    ],
)
def test_encodings_and_suffixes(
    line_id: str, column: str, default: str | None, encoding: str, file: str
) -> None:
    (line,) = lines(f"voice,text,id,encoding\na,b,{line_id},{column}\n", Defaults(default))
    assert (line.encoding, line.file) == (encoding, file)


def test_what_a_line_says_goes_before_the_command_line() -> None:
    first, second = lines(
        "voice,text,sample_rate,loudness\na,b,8000,-16\na,c,,\n", Defaults(None, 48000, -23.0)
    )
    assert (first.options["sample_rate_hertz"], first.loudness_lufs) == (8000, -16)
    assert (second.options["sample_rate_hertz"], second.loudness_lufs) == (48000, -23)


KNOWN = ", ".join(COLUMNS)


JSON_WITH_FAULTS = """\
{"voice": "a", "text": 1, "mood": 2}
{"voice": "a", "text": "b", "mood": 2}
[1]
{"voice": "a", "voice": "b", "text": "c"}
{"voice": null, "text": "b", "seed": true}
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", [(0, "there are no lines in it")]),
        ("\n \n", [(0, "there are no lines in it")]),
        ("voice,text\n", [(0, "there are no lines in it")]),
        (
            "voise,speech\na,b\n",
            [
                (1, f"there is no column 'voise'; there are {KNOWN}"),
                (1, f"there is no column 'speech'; there are {KNOWN}"),
                (
                    1,
                    "the header lacks the column voice and the column text; the first line",
                ),
            ],
        ),
        (
            "voice,text,voice,\na,,,\n",
            [
                (1, "there are two columns voice"),
                (1, "column 4 has no name"),
                (2, "voice is empty"),
                (2, "text is empty"),
            ],
        ),
        (
            'voice,text\na,one, two\nb,"open\nand on\n',
            [
                (
                    2,
                    'has 3 cells where the header has 2; put text with a comma in "quotes"',
                ),
                (3, "is no CSV: unexpected end of data"),
            ],
        ),
        (
            "voice,text,seed,rate,sample_rate,loudness\na,b,1.5,fast,nan,7\n\na,b,-1,inf,,\n",
            [
                (2, "seed: '1.5' is no whole number"),
                (2, "sample_rate: 'nan' is no whole number"),
                (2, "rate: 'fast' is no number"),
                (2, "loudness: 7 is not from -70 to 0 LUFS"),
                (4, "rate: 'inf' is no number"),
            ],
        ),
        (
            "voice,text,encoding,format\na,b,wav,mp3\na,b,mp4,\na,b,opus_packets,\n",
            [
                (2, "encoding and format mean the same; give one of them"),
                *(
                    (
                        number,
                        f"encoding: {name!r} is none of pcm_s16le, pcm_f32le, wav, mulaw, alaw",
                    )
                    for number, name in ((3, "mp4"), (4, "opus_packets"))
                ),
            ],
        ),
        (
            "voice,text,id\na,b,x\na,b,X\na,b,x.wav/y\na,b,../x\n",
            [
                (3, "id: 'X' names the file X.wav, as line 2 does"),
                (4, "id: 'x.wav/y' names the file x.wav/y.wav, as line 2 does"),
                (5, "id: '../x' has a name that begins with a full stop"),
            ],
        ),
        (
            JSON_WITH_FAULTS,
            [
                (1, f"there is no column 'mood'; there are {KNOWN}"),
                (1, "text: 1 is no text"),
                (3, 'is no JSON object; write such as {"voice": …, "text": …}'),
                (4, "is no JSON: a name stands in it twice"),
                (5, "voice is empty"),
                (5, "seed: True is no whole number"),
            ],
        ),
        ('{"voice": "a"', [(1, "is no JSON: Expecting ',' delimiter: line 1 column 14 (char 13)")]),
        ('{"voice": "a", "text": "\\ud800"}', [(1, "text does not take '\\ud800'")]),
        (b"\xff\xfev\x00", [(1, "the script is UTF-16; save it as UTF-8")]),
        (b"voice,text\na,b\xe4\na,c\n", [(2, "byte 4 is not UTF-8")]),
        (b"voice,text\na," + b"x" * MAX_LINE_BYTES, [(2, "is longer than 1048576 bytes")]),
    ],
)
def test_all_faults_are_told_with_their_lines(
    script: str | bytes, expected: list[tuple[int, str]]
) -> None:
    found = faults(script)
    assert [number for number, _ in found] == [number for number, _ in expected]
    for (_, message), (_, begin) in zip(found, expected, strict=True):
        assert message.startswith(begin)


def test_numbers_that_no_request_holds_are_faults() -> None:
    assert [
        number for number, _ in faults("voice,text,seed\na,b,-1\na,b,18446744073709551616\n")
    ] == [*(2, 3)]


def test_of_many_faults_the_first_are_shown_and_none_is_long() -> None:
    found = read("voice,text,seed\n" + f"a,b,{'x' * 5000}\n" * 1000).faults
    assert (found.count, len(found.shown)) == (1000, 20)
    assert max(len(fault.message) for fault in found.shown) <= 301


def test_a_nest_of_json_is_a_fault() -> None:
    assert faults('{"voice": ' + "[" * 500_000)[0][1].startswith("is no JSON")


@examples(300)
@given(st.binary(max_size=200))
def test_whatever_the_bytes_there_are_lines_or_faults(data: bytes) -> None:
    for script in (data, b"voice,text,id\n" + data, b'{"voice":"a","text":"b","id":"' + data):
        found = read(script)
        assert bool(found.faults.count) or bool(found.lines)


# File names


@pytest.mark.parametrize(
    "line_id",
    [
        *("/etc/passwd", "..", "../x", "a/../b", "a/..", "a//b", "a/", ".", "./a", "a/./b"),
        *(".hidden", "a/.voxswap-parts", "C:x", "c:\\x", "a\\b", "\\\\host\\x", "a\x00b", "a\nb"),
        *("con", "CON.wav", "a/nul", "com1", "LPT9.x", "COM¹", "a ", " a", "a.", "a*", "a?", "<a>"),
        *('a"b', "a|b", "x" * 201, "ü" * 101, "a/" * 200 + "a", "a\u202eb", "\ud800", "a\u200b"),
    ],
)
def test_an_id_that_is_no_safe_file_name(line_id: str) -> None:
    with pytest.raises(ValueError, match=r"^(has|begins)"):
        file_name(line_id, ".wav")


@pytest.mark.parametrize(
    "line_id", ["a", "npc/smith/hello there", "日本/語", "-x", "a..b", "con-x"]
)
def test_an_id_that_is_one(line_id: str) -> None:
    assert file_name(line_id, ".wav") == f"{line_id}.wav"


@examples(500)
@given(
    st.text(alphabet=st.sampled_from("a./\\: ~\n\x00CONnul:é1"), max_size=12) | st.text(max_size=9)
)
def test_no_name_leaves_its_folder(line_id: str) -> None:
    try:
        name = file_name(line_id, ".wav")
    except ValueError:
        return
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind("/out") / name
        assert path.is_relative_to(kind("/out"))
        assert ".." not in path.parts
    assert os.path.normpath(f"/out/{name}") == f"/out/{name}"


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.wav", "A.WAV"), ("é.wav", "e\u0301.wav"), ("a/b.wav", "A"), ("a", "a/b/c.wav")],
)
def test_names_that_would_meet(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        taken = TakenNames()
        assert taken.take(one, 2) is None
        assert taken.take(other, 3) == 2
        assert taken.take("elsewhere/b.wav", 4) is None


# Order


def voiced(*voices: str) -> list[Line]:
    return lines("voice,text\n" + "".join(f"{voice},hi\n" for voice in voices))


def order(script: list[Line], resident: set[str]) -> str:
    return " ".join(f"{line.voice}:{line.number}" for line in in_order(script, resident))


def test_lines_of_one_voice_stand_together() -> None:
    script = voiced("b", "a", "b@2", "c", "a", "b", "b@2")
    assert order(script, set()) == "b:2 b:7 b@2:4 b@2:8 a:3 a:6 c:5"


def test_voices_in_memory_come_first() -> None:
    script = voiced("b", "a", "c@1", "b", "c@1")
    assert order(script, {"c@1", "a@7", "other@1"}) == "a:3 c@1:4 c@1:6 b:2 b:5"
