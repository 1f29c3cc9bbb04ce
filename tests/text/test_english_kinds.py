"""English of games, agents and dialogue: every kind of `cases/text.md`, and its siblings."""

from __future__ import annotations

import pytest

from tests.text.cases import cases, misread
from voxswap_server.text.cleaning import clean
from voxswap_server.text.english.normalization import without_decorations
from voxswap_server.text.english.rules.currencies import CODES, CURRENCIES
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.normalization import normalize

KINDS = {
    "durations": """
        56m remaining => fifty-six minutes remaining
        2h 34m => two hours thirty-four minutes
        5m 30s => five minutes thirty seconds
        5m ago => five minutes ago
        1h30m => one hour thirty minutes
        1h30 => one hour thirty minutes
        3d ago => three days ago
        2d 4h 30m 10s => two days four hours thirty minutes ten seconds
        1 hr 20 min => one hour twenty minutes
        5-10m left => five to ten minutes left
        back in 10m. => back in ten minutes.
        ETA: 5m => ETA: five minutes
        1.5h => one point five hours
        a 3d model => a three d model
        5m of rope => five meters of rope
        2m 5cm => two meters five centimeters
    """,
    "letters that are no units": """
        Gliese 581 g => Gliese five hundred and eighty-one g
        system 4 L => system four L
        body 2 M => body two M
        gate 4L => gate four L
        Protein 12 g => Protein twelve grams
        Pour 2 L of water => Pour two liters of water
        12 V => twelve volts
        2 M users => two million users
        123 W Main St. => one hundred and twenty-three West Main Street.
        99 E 5th St => ninety-nine East fifth Street
        12 NW Oak Ave => twelve Northwest Oak Avenue
        a 60 W bulb => a sixty watts bulb
    """,
    "compound units": """
        9.8 m/s² => nine point eight meters per second squared
        9.8 m/s^2 => nine point eight meters per second squared
        3 kg/m³ => three kilograms per cubic meter
        7 W/m² => seven watts per square meter
        20 mg/kg/day => twenty milligrams per kilogram per day
        €40/m² => forty euros per square meter
        3 GB/s => three gigabytes per second
        5 N·m => five newton meters
        10 km / h => ten kilometers per hour
        3 times per day => three times per day
        2x/day => two times per day
    """,
    "dimensions, feet and inches, angles": """
        3 × 3 mm => three by three millimeters
        10x15 cm => ten by fifteen centimeters
        10cm x 15cm => ten centimeters by fifteen centimeters
        2 x 4 x 8 in => two by four by eight inches
        8.5" x 11" => eight point five inches by eleven inches
        6' tall => six feet tall
        a 27" monitor => a twenty-seven inch monitor
        6′2″ => six foot two
        5 ft 10 in => five foot ten inches
        "I have 5" => "I have five"
        She said "I'm 5' tall" => She said "I'm five feet tall"
        7/8" => seven eighths of an inch
        40°26'46"N => forty degrees twenty-six minutes forty-six seconds north
        20 °C => twenty degrees Celsius
        20° C => twenty degrees Celsius
        20ºC => twenty degrees Celsius
        20 deg C => twenty degrees Celsius
        68 degrees F => sixty-eight degrees Fahrenheit
        37.5℃ => thirty-seven point five degrees Celsius
        It's 20C outside. => It's twenty degrees Celsius outside.
        Set it to 75F. => Set it to seventy-five degrees Fahrenheit.
        seat 20C => seat twenty C
        51.5° N => fifty-one point five degrees north
    """,
    "thousands with spaces": """
        1 000 000 people => one million people
        12 345 => twelve thousand three hundred and forty-five
        12\u00a0345 => twelve thousand three hundred and forty-five
        12\u2009345.5 => twelve thousand three hundred and forty-five point five
        250 000 => two hundred and fifty thousand
        $1 000 => one thousand dollars
        3 000 km => three thousand kilometers
        100 200 300 => one hundred two hundred three hundred
        555 123 4567 => five five five, one two three, four five six seven
    """,
    "money": """
        S$5.50 => five Singapore dollars and fifty cents
        R$20 => twenty reais
        ₱250 => two hundred and fifty pesos
        ₦500 => five hundred naira
        ₪10 => ten shekels
        ฿1 => one baht
        NT$30 => thirty Taiwan dollars
        USD 5 => five US dollars
        5 GBP => five pounds
        1 CHF => one Swiss franc
        EUR 1,200.50 => one thousand two hundred euros and fifty cents
        50 zł => fifty zlotys
        Rs. 500 => five hundred rupees
        £1.2bn => one point two billion pounds
        TRY 5 times => TRY five times
        TRY 250.00 => two hundred and fifty lira
        I need ALL 3 => I need ALL three
    """,
    "Roman numerals": """
        Cobra Mk. III => Cobra mark three
        Rocky III => Rocky three
        Rocky IV => Rocky four
        Final Fantasy VII => Final Fantasy seven
        Final Fantasy X => Final Fantasy ten
        GTA V => GTA five
        Thutmose II => Thutmose the second
        King Zog II => King Zog the second
        William Gates III => William Gates the third
        the XXth century => the twentieth century
        MMXXIV => twenty twenty-four
        an IV drip => an I V drip
        Start IV fluids => Start I V fluids
        Malcolm X => Malcolm X
        XL and CD => XL and CD
    """,
    "counters and fractions": """
        Step 2/4 => Step two of four
        Ammo 30/120 => Ammo thirty of one hundred and twenty
        30/120 => thirty out of one hundred and twenty
        3/5 wolves => three of five wolves
        5/5 stars => five out of five stars
        4/5 stars => four out of five stars
        0/5 => zero out of five
        page 3/12 => page three of twelve
        1/4th => one quarter
        2/3rds => two thirds
        3/4 cups => three quarters cups
        2/3 of people => two thirds of people
        9/11 => nine eleven
    """,
    "versions, models, codes": """
        Python 3.11 => Python three point eleven
        Ubuntu 22.04 => Ubuntu twenty-two point oh four
        3.11 => three point one one
        RTX 4090 => RTX forty ninety
        Boeing 747 => Boeing seven forty-seven
        F-16 => F-sixteen
        my PIN 0412 => my PIN zero four one two
        Your code is 123 456. => Your code is one two three, four five six.
        OTP: 482913 => OTP: four eight two nine one three
        IL 62704 is here => IL sixty-two thousand seven hundred and four is here
        Springfield, IL 62704 => Springfield, IL six two seven zero four
        0x1F => zero x one F
        #ff8800 => hash F F eight eight zero zero
        10k likes => ten thousand likes
        a 10k run => a ten k run
    """,
    "times": """
        5.30pm => five thirty PM
        at 17h30 => at seventeen thirty
        0630 hours => oh six thirty hours
        at 1430 hrs => at fourteen thirty hours
        1400 hours of work => one thousand four hundred hours of work
        the early 80s => the early eighties
        80s music => eighties music
        1:30 remaining => one minute thirty seconds remaining
        1:02:00 left => one hour two minutes left
        at 1:30 => at one thirty
        60s timeout => sixty seconds timeout
        1850 people => one thousand eight hundred and fifty people
        in 1850 => in eighteen fifty
        more than 1984 => more than one thousand nine hundred and eighty-four
    """,
    "days and months": """
        Tue 5 May => Tuesday the fifth of May
        Thu at noon => Thursday at noon
        Mon-Fri => Monday to Friday
        on Sat. and Sun. => on Saturday and Sunday.
        the Sun at noon => the Sun at noon
        Sun and moon => Sun and moon
        Sun 3 Aug => Sunday the third of August
        We wed. I sat. => We wed. I sat.
        in Feb => in February
        Jan-Mar => January to March
        Jan came => Jan came
        I may mar it => I may mar it
    """,
    "addresses and abbreviations": """
        Apt. 4B => apartment four B
        Apt 4B => apartment four B
        Rte. 66 => route sixty-six
        Fig. A => figure A
        Ep. 5 => episode five
        Lv. 5 => level five
        min. 5 => minimum five
        5 min. 3 => five minutes three
        ext. 42 => extension forty-two
        Msgr. O'Brien => Monsignor O'Brien
        Op. 27 No. 2 => opus twenty-seven number two
        St. Mary's St. => Saint Mary's Street.
        4521 Oak Ave => forty-five twenty-one Oak Avenue
        w/o => without
        w/ milk => with milk
        and/or => and or
        A-Z => A to Z
        he/she => he slash she
    """,
    "scores and games": """
        We won 3-1. => We won three to one.
        The score is 3 - 2. => The score is three to two.
        10 - 3 = 7 => ten minus three equals seven
        -10 HP, +50 XP => minus ten HP, plus fifty XP
        Potion x5 => Potion times five
        x86 => x eighty-six
        2x damage for 10s! => two times damage for ten seconds!
        WWII => World War two
        AT&T => A T and T
    """,
    "symbols alone": """
        % => percent
        & => ampersand
        a & b => a and b
        € => euro
    """,
    "stammers": """
        W-w-what? => wuh-wuh-what?
        N-no => nuh-no
        Th-that's => the-that's
        Th-think => thuh-think
        C-city => suh-city
        Wh-who => huh-who
        K-know => nuh-know
        I-I'm => I-I'm
        A-are => ah-are
        X-ray, T-shirt, e-mail => X-ray, T-shirt, e-mail
        D-Day, a B-boy, a t-test => D-Day, a B-boy, a t-test
    """,
    "interjections": """
        Mmm => Umm
        Shh, shhhh => Shush, shush
        Grr => Gurr
        Pfft => Puft
        Brrr => Burr
        Hmph => Humph
        Zzz => Zizz
        HMM => hmm
        Ahhh, ohhh, ughhh => Ah, oh, ugh
        hahaha => ha ha
        HM, MM, AAA => HM, MM, AAA
        in mm => in millimeters
        nth, Ltd, www => nth, Ltd, www
    """,
    "words drawn out": """
        Nooooo => No
        Soooo gooood => So good
        Yesss => Yes
        Whaaat => What
        reeeally => really
        Helllooo => Hello
        NOOOO => no
        goddess, coffee, Mississippi => goddess, coffee, Mississippi
    """,
    "shouts": """
        MOVE IT! => move it!
        LET IT BE => let it be
        MIX => mix
        LIV => liv
        DON'T! IT'S HOT! => don't! it's hot!
        GIVE US TIME => give us time
        THE US ARMY => the US army
        IT DEPARTMENT => IT department
        USA, FBI, HP => USA, FBI, HP
        CALL THE FBI => call the FBI
        NO. NO! NO!!! => no. no! no!!!
        I'M HERE => I'm here
        US paused => US paused
        He said NO to IT. => He said NO to IT.
        COVID-19 => COVID-nineteen
        WORLD WAR II => world war two
    """,
    "stage directions": """
        *sighs* Fine. => Fine.
        *clears her throat* Yes. => Yes.
        (laughs) You wish. => You wish.
        (nods slowly) Yes. => Yes.
        Well *sigh* okay. => Well okay.
        *really* good => really good
        He *laughs* at us. => He laughs at us.
        Don't make me *laugh*. => Don't make me laugh.
        (He left early.) => (He left early.)
        (waves are high) => (waves are high)
    """,
}


def test_every_case_is_read_right() -> None:
    assert not misread()
    assert len(cases()) > 70


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_right(kind: str) -> None:
    lines = [line.strip().split(" => ") for line in KINDS[kind].strip().split("\n")]
    read = [(written, normalize(written, "en-US").text) for written, _ in lines]
    assert read == [(written, spoken) for written, spoken in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_stays_as_it_is(kind: str) -> None:
    spoken = [line.split(" => ")[1] for line in KINDS[kind].strip().split("\n")]
    assert [normalize(text, "en-US").text for text in spoken if text[0].isalnum()] == [
        text for text in spoken if text[0].isalnum()
    ]


SOUNDS = """
    Shh => ʃˈʌʃ
    Mmm => ˈʌm
    Grr => ɡˈɜː
    Pfft => pˈʌft
    Hmph => hˈʌmf
    Zzz => zˈɪz
    W-w-what? => wˈʌwˈʌwˈʌt
    N-no => nˈʌnˈoʊ
    Th-that's => ðəðˈæts
    MOVE IT! => mˈuːv ɪt
    MIX => mˈɪks
    an IV drip => ɐn aɪ vˈiː dɹˈɪp
    Rocky III => ɹˈɑːki θɹˈiː
"""


def test_dialogue_is_sounds_and_no_letters(espeak: Espeak) -> None:
    voice = espeak.voice("en-us")
    lines = [line.strip().split(" => ") for line in SOUNDS.strip().split("\n")]
    read = [normalize(written, "en-US").text for written, _ in lines]
    heard = espeak.read(voice, read, of="".join(read))
    assert [clauses[0].phonemes for clauses in heard] == [sound for _, sound in lines]


def test_every_currency_is_said_by_its_sign_and_its_code() -> None:
    assert len(CODES) > 150
    for sign, currency in CURRENCIES.items():
        assert normalize(f"{sign}7 now", "en").text == f"seven {currency.many} now"
    for code, currency in CODES.items():
        assert normalize(f"He has 7 {code}.", "en").text in {
            f"He has seven {currency.many}.",
            f"He has seven {code}.",  # where that is a word too
        }


@pytest.mark.parametrize(("acted", "left"), [("drop", "Fine, go."), ("speak", "sighs Fine, go.")])
def test_stage_directions_are_dropped_or_spoken(acted: str, left: str) -> None:
    source = clean("*sighs* Fine, go.", english=True)
    found = without_decorations(source, acted=acted)  # type: ignore[arg-type]
    assert found.text.strip() == left
    assert found.dropped == {"*": 2}


def test_a_word_mark_points_at_what_was_written() -> None:
    text = "W-w-what? Shh, MOVE the 10x15 cm Mk. III for S$5.50 in 2h 34m!"
    words = {
        word.text: result.text[word.start : word.end]
        for result in [normalize(text, "en")]
        for word in result.words
    }
    assert words["W-w-what"] == "wuh-wuh-what"
    assert words["Shh"] == "Shush"
    assert words["10x15 cm"] == "ten by fifteen centimeters"
    assert words["S$5.50"] == "five Singapore dollars and fifty cents"
    assert words["2h 34m"] == "two hours thirty-four minutes"
