"""Normalisation: what is read for what is written, and where each word of it came from."""

from __future__ import annotations

import pytest

from voxswap_families.text import NormalizedText
from voxswap_server.text.normalization import normalize

ENGLISH = {
    "cardinals": """
        0 => zero
        42 => forty-two
        105 => one hundred and five
        1,234,567 => one million two hundred and thirty-four thousand five hundred and sixty-seven
        1000000 => one million
        -5 degrees => minus five degrees
        +5 => plus five
        3.14 => three point one four
        0.50 => zero point five zero
        .5 => point five
        -1,200.5 => minus one thousand two hundred point five
        1.5e-3 => one point five times ten to the minus three
        1,2,3 => one, two, three
        ٤٢ => forty-two
        １２３ => one hundred and twenty-three
        1.5 million people => one point five million people
    """,
    "digits": """
        007 => zero zero seven
        ID 12345678 => ID one two three four five six seven eight
        Call 555-1234. => Call five five five, one two three four.
        (555) 123-4567 => five five five, one two three, four five six seven
        1-800-555-0199 => one, eight zero zero, five five five, zero one nine nine
        +44 20 7946 0958 => plus four four, two zero, seven nine four six, zero nine five eight
        020 7946 0958 => zero two zero, seven nine four six, zero nine five eight
        123-45-6789 => one two three, four five, six seven eight nine
        192.168.0.1 => one nine two dot one six eight dot zero dot one
        v1.2.3 => version one point two point three
        v2 => version two
        3.11.7 => three point eleven point seven
    """,
    "names with digits": """
        MP3 => MP three
        B2B => B two B
        x86 => x eighty-six
        MH370 => MH three seven zero
        COVID-19 => COVID-nineteen
        a 19-year-old => a nineteen-year-old
        H₂O => H two O
        4K => four K
        V8 => V eight
        1080p => ten eighty p
    """,
    "ordinals": """
        1st => first
        the 22nd => the twenty-second
        103rd => one hundred and third
        1,000th => one thousandth
        21st-century => twenty-first-century
    """,
    "money": """
        $3.50 => three dollars and fifty cents
        $3.00 => three dollars
        $1 => one dollar
        $0.99 => ninety-nine cents
        £5 => five pounds
        £3.01 => three pounds and one penny
        €1,200.75 => one thousand two hundred euros and seventy-five cents
        ¥500 => five hundred yen
        $3 million => three million dollars
        "$1.2bn" => "one point two billion dollars"
        $1.5 => one point five dollars
        -$5 => minus five dollars
        a $5 bill => a five dollar bill
        $5-10 => five to ten dollars
        $5/hr => five dollars per hour
        US$5 => five US dollars
        100 € => one hundred euros
        5 USD => five US dollars
        50p => fifty pence
        50¢ => fifty cents
    """,
    "times": """
        3:45pm => three forty-five PM
        15:30 => fifteen thirty
        7 a.m. today => seven AM today
        at 5 p.m. => at five PM.
        12:00 => twelve o'clock
        3:05 => three oh five
        15:00 => fifteen hundred
        00:00 => midnight
        15:30:20 => fifteen thirty and twenty seconds
        9:30-11:00 => nine thirty to eleven o'clock
        3-5pm => three to five PM
        9am-5pm => nine AM to five PM
    """,
    "dates": """
        2024-05-17 => May seventeenth, twenty twenty-four
        2024-05-17T15:30:00Z => May seventeenth, twenty twenty-four, fifteen thirty
        5/17/2024 => May seventeenth, twenty twenty-four
        5/6/24 => May sixth, twenty twenty-four
        17.05.2024 => May seventeenth, twenty twenty-four
        17 May 2024 => the seventeenth of May, twenty twenty-four
        the 4th of July => the fourth of July
        May 17th, 2024 => May seventeenth, twenty twenty-four
        Sept. 3 => September third
        Dec 25, 1999 => December twenty-fifth, nineteen ninety-nine
        May 17-19 => May seventeenth to nineteenth
        Mon., Sept. 3 => Monday, September third
        March 2020 => March twenty twenty
        May I come? => May I come?
    """,
    "years": """
        1999 => nineteen ninety-nine
        2005 => two thousand and five
        1905 => nineteen oh-five
        the 1980s => the nineteen eighties
        the 2000s => the two thousands
        '90s => nineties
        the 60s => the sixties
        class of '05 => class of oh five
        mid-1990s => mid-nineteen nineties
        2024 cars => two thousand and twenty-four cars
        in 2024 cars were => in twenty twenty-four cars were
    """,
    "ranges": """
        10-20 => ten to twenty
        1990–1995 => nineteen ninety to nineteen ninety-five
        1914-18 => nineteen fourteen to eighteen
        10 - 20 => ten to twenty
        5 - 3 = 2 => five minus three equals two
        50-50 => fifty fifty
        3:1 => three to one
    """,
    "fractions": """
        1/2 => one half
        3/4 => three quarters
        2 1/2 => two and a half
        3 3/4 => three and three quarters
        ½ => one half
        2½ => two and a half
        3/2 => three halves
        24/7 => twenty-four seven
        7/10 => seven out of ten
        1/2 kg => one half of a kilogram
        1/3 oz => one third of an ounce
    """,
    "percentages": """
        50% => fifty percent
        12.5 % => twelve point five percent
        10-20% => ten to twenty percent
        5%-10% => five to ten percent
    """,
    "units": """
        5km => five kilometers
        10 kg => ten kilograms
        1 kg => one kilogram
        3 ft => three feet
        60 mph => sixty miles per hour
        60 km/h => sixty kilometers per hour
        5'10" => five foot ten
        20°C => twenty degrees Celsius
        -5°F => minus five degrees Fahrenheit
        90° => ninety degrees
        16GB => sixteen gigabytes
        3ms => three milliseconds
        10 m² => ten square meters
        a 5-km run => a five kilometer run
        2 1/2 miles => two and a half miles
        5-10 km => five to ten kilometers
        5in => five inches
        3 in the morning => three in the morning
        2x => two times
        4x4 => four by four
        4.5GHz => four point five gigahertz
        2000 km => two thousand kilometers
        6 oz. => six ounces.
    """,
    "abbreviations": """
        Dr. Smith => Doctor Smith
        Dr Who => Doctor Who
        on Sunset Dr. near => on Sunset Drive near
        St. John => Saint John
        Visit St. Louis => Visit Saint Louis
        Mount St. Helens => Mount Saint Helens
        on Main St. now => on Main Street now
        Mr. and Mrs. Jones => Mister and Missus Jones
        Prof. X and Gen. Lee => Professor X and General Lee
        cats vs. dogs => cats versus dogs
        bread, etc. => bread, et cetera.
        e.g. bread => for example bread
        i.e. bread => that is bread
        No. 5 => number five
        No. I won't. => No. I won't.
        pp. 3-4 => pages three to four
        Acme Inc. => Acme Incorporated.
        Martin Luther King Jr. spoke => Martin Luther King Junior spoke
        Ph.D. students => PhD students
        the U.S. army => the U.S. army
        NASA and the FBI => NASA and the FBI
        **Dr.** Smith => Doctor Smith
    """,
    "Roman numerals": """
        Henry VIII => Henry the eighth
        Louis XIV was => Louis the fourteenth was
        Elizabeth I, queen => Elizabeth the first, queen
        Henry I think => Henry I think
        George V's => George the fifth's
        Chapter IV => Chapter four
        World War II => World War two
        Act I => Act one
        I see vitamin C => I see vitamin C
        the CIVIC centre => the CIVIC centre
    """,
    "symbols": """
        R&D => R and D
        me @ home => me at home
        #1 => number one
        #fun => hashtag fun
        2+2=4 => two plus two equals four
        C++ => C plus plus
        5 * 3 => five times three
        **bold** and _it_ => bold and it
        snake_case => snake case
        ~5 => about five
        a < 5 => a less than five
        <b> => b
        x² => x squared
        2^10 => two to the power of ten
        he/she => he slash she
        § 5 => section five
        [1] => (one)
    """,
    "addresses": """
        example.com => example dot com
        https://example.com/a-b => example dot com slash a dash b
        Mail joe.b@mail.co.uk. => Mail joe dot b at mail dot co dot uk.
        www.test.org, => www dot test dot org,
        Node.js => Node dot js
        .NET => dot NET
        the end.Then => the end. Then
    """,
    "punctuation": """
        “Hello,” she said. => "Hello," she said.
        it’s ‘here’ => it's 'here'
        yes—no => yes, no
        yes — no => yes, no
        yes -- no => yes, no
        yes - no => yes, no
        "I was—" => "I was,"
        wait…what => wait...what
        —Hello => Hello
        well-known => well-known
        New York–London => New York-London
        What‽ => What?!
    """,
    "characters": """
        cafe\u0301 => café
        hi 🎉 there => hi there
        hi🎉there => hi there
        5\ufe0f\u20e3 stars => five stars
        zero\u200bwidth => zerowidth
        𝓗𝓮𝓵𝓵𝓸 => Hello
        ﬁne => fine
        ①② => one two
        a \t\u00a0 b => a b
    """,
}
CASES = [
    pytest.param(*line.split(" => "), id=f"{kind}: {line.strip()}")
    for kind, table in ENGLISH.items()
    for line in table.strip().split("\n")
]


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_english(written: str, spoken: str) -> None:
    assert normalize(written.strip(), "en-US").text == spoken


@pytest.mark.parametrize(("written", "spoken"), CASES)
def test_what_is_read_is_read_the_same_again(written: str, spoken: str) -> None:
    del written
    assert normalize(spoken, "en-US").text == spoken


OTHER_LANGUAGES = [
    ("de", "Das kostet nichts — „wirklich“?", 'Das kostet nichts, "wirklich"?'),
    ("de", "Das kostet 3,50 € — „wirklich“?", 'Das kostet drei Euro fünfzig, "wirklich"?'),
    ("de-AT", "Dr. Müller, 20 %", "Dr. Müller, zwanzig Prozent"),
    ("es", "—Hola —dijo.", "Hola, dijo."),
    ("fr", "l’été 😀", "l'été"),
    ("zh", "你好，世界。今天是2024年！", "你好，世界。今天是2024年！"),
    ("hi", "नमस्ते, क्या हाल है?", "नमस्ते, क्या हाल है?"),
    ("fa", "می\u200cخواهم", "می\u200cخواهم"),
    ("ar", "ar\u200bab", "arab"),
]


@pytest.mark.parametrize(("language", "written", "spoken"), OTHER_LANGUAGES)
def test_other_languages_are_tidied_and_their_figures_read(
    language: str, written: str, spoken: str
) -> None:
    assert normalize(written, language).text == spoken


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "en_GB", "en-gb-x-rp"])
def test_english_tags(language: str) -> None:
    assert normalize("42", language).text == "forty-two"


def test_region_decides_the_order_of_a_date() -> None:
    assert normalize("3/4/2024", "en-US").text.startswith("March fourth")
    assert normalize("3/4/2024", "en_GB").text.startswith("April third")


def readings(result: NormalizedText) -> list[tuple[str, str]]:
    return [(word.text, result.text[word.start : word.end]) for word in result.words]


def test_a_word_is_a_token_without_the_punctuation_at_its_edges() -> None:
    assert readings(normalize('"Stop," (he said): well-known 10kg!', "en")) == [
        ("Stop", "Stop"),
        ("he", "he"),
        ("said", "said"),
        ("well-known", "well-known"),
        ("10kg", "ten kilograms"),
    ]


def test_tokens_read_as_one_are_one_word() -> None:
    assert readings(normalize("By May 17th, 2024, $3 million.", "en")) == [
        ("By", "By"),
        ("May 17th, 2024", "May seventeenth, twenty twenty-four"),
        ("$3 million", "three million dollars"),
    ]


def test_dashes_part_words() -> None:
    assert readings(normalize("yes—no", "en")) == [("yes", "yes"), ("no", "no")]


def test_a_symbol_that_is_read_is_a_word() -> None:
    assert readings(normalize("you & me", "en")) == [("you", "you"), ("&", "and"), ("me", "me")]


def test_text_without_spaces_is_one_word_between_punctuation() -> None:
    assert [word.text for word in normalize("你好，世界。", "zh").words] == ["你好", "世界"]


def test_spans_count_characters_as_they_were_written() -> None:
    text = "🎉 cafe\u0301 ﬁ\u200bne"
    words = normalize(text, "en").words
    assert [(w.text, w.source_start, w.source_end) for w in words] == [
        ("cafe\u0301", 2, 7),
        ("ﬁ\u200bne", 8, 12),
    ]


def test_what_cannot_be_read_is_counted() -> None:
    assert normalize("hi 🎉🎉 *you* \ue000", "en").dropped == {"🎉": 2, "*": 2, "\ue000": 1}
    assert normalize("plain", "en").dropped == {}


def test_heaps_of_unordered_marks_are_limited() -> None:
    result = normalize("a" + "\u0336\u0323" * 50, "de")
    assert result.text == "ạ" + "\u0336" * 15 + "\u0323" * 14
    assert result.dropped == {"\u0336": 35, "\u0323": 35}


def test_nothing_to_read() -> None:
    assert normalize("", "en") == NormalizedText("", (), {})
    assert normalize("🎉", "en").words == ()
