"""Other languages than English: each kind that was misread, with siblings in other languages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxswap_server.text.languages.numerals import cardinal, knows
from voxswap_server.text.languages.rewriting import reader_of
from voxswap_server.text.normalization import normalize

TABLES = ("de", "fr", "es", "it", "pt", "pl", "ru", "uk", "nl", "tr", "cs", "sv", "ja", "ko")

KINDS = {
    "minus": """
        fr: Il fait -5 degrés. => Il fait moins cinq degrés.
        fr: Il fait \u22125 °C. => Il fait moins cinq degrés Celsius.
        es: Hace -5 grados. => Hace menos cinco grados.
        it: \u22125 e +3 => meno cinque e più tre
        pl: \u22125 => minus pięć
        ru: -5 => минус пять
        tr: -5 derece => eksi beş derece
        da: Det er -5 grader. => Det er minus 5 grader.
        fi: \u22125 astetta => miinus 5 astetta
        hu: -0,5 fok => mínusz 0,5 fok
        el: (-5) => (μείον 5)
        da: 10-5 og A-5 => 10-5 og A-5
        xx: -5 => -5
    """,
    "decorations": """
        fr: **Attention** ! => Attention !
        de: ## Kapitel *eins* => Kapitel eins
        de: # Kapitel ### => Kapitel
        es: > cita y _otra_ => cita y otra
        pt: ~~velho~~ || novo => velho novo
        pl: ```kod``` => kod
        ru: __жирный__ <b>текст</b> => жирный b текст/b
        it: ==== titolo \\* => titolo
        tr: [bağlantı](https://example.com/a_b) burada => bağlantı burada
        sv: ![bild](bild.png) här => bild här
        nl: snake_case => snake case
        hi: **नमस्ते** => नमस्ते
        de: mail an a_b@example.com => mail an a_b ät example.com
        de: 5 * 3 => fünf mal drei
    """,
    "entities": """
        fr: sel &amp; poivre => sel et poivre
        de: 3 &lt; 5 &quot;so&quot; => drei < fünf "so"
        es: sal&nbsp;&amp;&nbsp;pan => sal y pan
        cs: k&#367;&#x148; => kůň
        hu: só &amp;amp; bors => só & bors
        en: salt &amp; pepper => salt and pepper
        en: R&D; you & me; => R and D; you and me;
        en: see [the map](https://example.com/map) => see the map
    """,
    "what others read": """
        en: The sign says 東京駅 here. => The sign says here.
        de: Der Turm 東京 hier => Der Turm hier
        fr: le mot ไทย ici => le mot ici
        ko: 東京 => 東京
        ja: 東京 => 東京
    """,
    "numbers": """
        de: 1.234.567 => eine Million zweihundertvierunddreißigtausendfünfhundertsiebenundsechzig
        de: 12\u00a0345 und 12\u202f345 => zwölftausenddreihundertfünfundvierzig und \
            zwölftausenddreihundertfünfundvierzig
        de: 1,234.5 => eintausendzweihundertvierunddreißig Komma fünf
        de: 3.5 => drei Punkt fünf
        de: 1,2,3 => eins, zwei, drei
        de: 007 => null null sieben
        de: MP3 und A380 => MP drei und A dreihundertachtzig
        de: 1 Hund und 1 => ein Hund und eins
        fr: 0,05 => zéro virgule zéro cinq
        fr: 80 et 200 => quatre-vingts et deux cents
        es: 21 000 => veintiún mil
        pt: 2 casas => duas casas
        pt-BR: 16 => dezesseis
        pt-PT: 16 => dezasseis
        ru: 2 стола, 2 книги, 1 окно, 1 книгу => два стола, две книги, одно окно, одну книгу
        ru: 0,5 => ноль целых пять десятых
        pl: 0,5 i 12 => zero przecinek pięć i dwanaście
        cs: 1,5 => jedna celá pět
        tr: 1234 => bin iki yüz otuz dört
        sv: 1000 => ettusen
        ja: 10000 => いちまん
        ko: 110000 => 십일만
        de: 1234567890123456 => eins zwei drei vier fünf sechs sieben acht neun null \
            eins zwei drei vier fünf sechs
        de: 1½ Liter => eineinhalb Liter
        es: 3/4 de hora => tres cuartos de hora
        de: Stufe 2/4 => Stufe zwei von vier
    """,
    "ordinals": """
        de: der 3. Mann, am 1. Tag => der dritte Mann, am ersten Tag
        fr: la 1re fois, le XXe, 2nd => la première fois, le XXe, second
        es: 1er piso, 2ª vez, 3.º => primer piso, segunda vez, tercero
        it: 3ª volta => terza volta
        nl: 1ste, 2de, 3e => eerste, tweede, derde
        ru: 2-я, 5-го, 3-му => вторая, пятого, третьему
        uk: 3-я, 5-го => третя, п'ятого
        tr: 3. kat ve 21'inci => üçüncü kat ve yirmi birinci
        cs: 3. třída, 21. století => třetí třída, dvacátý první století
        sv: 2:a => andra
        ja: 第3話 => だいさんわ
        ko: 제3 => 제삼
    """,
    "compounds": """
        de: die 90er, 5. Klasse, 3. Platz => die neunziger, fünfte Klasse, dritter Platz
        de: die 1980er Jahre => die neunzehnhundertachtziger Jahre
        ru: 5-летний, 25-метровый => пятилетний, двадцатипятиметровый
        ru: 90-е годы, 1990-х => девяностые годы, тысяча девятьсот девяностых
        uk: 90-ті => дев'яності
        es: 31 días y 1 mapa => treinta y un días y un mapa
        it: 1 ora => una ora
        sv: 1 timme, 1 barn => en timme, ett barn
        ja: 3/4、90年代 => よんぶんのさん、きゅうじゅうねんだい
        ko: 3/4 => 사분의 삼
        ru: 8 (495) 123-45-67 => восемь, четыре девять пять, один два три, четыре пять, шесть семь
        es: 91 123 45 67 => nueve uno, uno dos tres, cuatro cinco, seis siete
        fr: 2,5 M€, 1 h 30 min => deux virgule cinq millions d'euros, une heure trente minutes
        de: Seite 1/3, Nimm 1/3 Tasse => Seite eins von drei, Nimm ein Drittel Tasse
        de: 1 Million, 1 Katze, 1 Auge => eine Million, eine Katze, ein Auge
        fr: 3-2, 2-3 => trois à deux, deux à trois
        nl: 3-2 => drie tegen twee
        ru: 9 с, 5 с половиной => девять секунд, пять с половиной
        ru: 100 тыс. руб. нет => сто тысяч рублей нет
        pl: 5 mln zł => pięć milionów złotych
        uk: 2-ге => друге
        tr: saat 14.30 => saat on dört otuz
        ja: 0時、3対2、2位 => れいじ、さんたいに、にい
        ko: 3:2 => 삼 대 이
        de: 5 €/kg, 3 €/Monat, 24/7 => fünf Euro pro Kilogramm, drei Euro pro Monat, \
            vierundzwanzig sieben
        de: 3x, 2er, 1.-3. Klasse => drei mal, zweier, erste bis dritte Klasse
        de: Ich habe 2. Er hat 3 => Ich habe zwei. Er hat drei
        pl: Mam 2. On ma 3 => Mam dwa. On ma trzy
        fr: 9h-17h, 1/4 => neuf à dix-sept heures, un quart
        de: 5 km - 10 km => fünf bis zehn Kilometer
        es: 1 vez, 21 canciones => una vez, veintiuna canciones
        ru: с 9:00 до 17:30 => с девяти часов до семнадцати тридцати
        uk: з 9:00 до 17:00 => з дев'ятої до сімнадцятої
        ja: 9時〜17時 => くじからじゅうしちじ
        ko: 9시~17시 => 아홉 시에서 십칠 시
        de: ½ l, Nimm 1/2 kg! => ein halb Liter, Nimm ein halb Kilogramm!
        fr: ½ l => un demi litre
        ru: 3/4 км, 1½ км => три четверти километра, один с половиной километра
        es: 2½ km => dos y medio kilómetros
        de: 2 h 34 min => zwei Stunden vierunddreißig Minuten
    """,
    "money": """
        de: 3,50 € => drei Euro fünfzig
        de: 1 €, 0,01 €, 5-10 € => ein Euro, ein Cent, fünf bis zehn Euro
        de: 3 Mio. € => drei Millionen Euro
        fr: $20 et £1 => vingt dollars et une livre
        es: 1 £ y 200 £ => una libra y doscientas libras
        pl: 1 zł, 2 zł, 5 zł, 22 zł => jeden złoty, dwa złote, pięć złotych, dwadzieścia dwa złote
        ru: 1 ₽, 2 ₽, 5 ₽, 11 ₽ => один рубль, два рубля, пять рублей, одиннадцать рублей
        uk: 2 грн => дві гривні
        cs: 1 Kč, 2 Kč, 5 Kč => jedna koruna, dvě koruny, pět korun
        nl: EUR 20 => twintig euro
        pt: R$20 => vinte reais
        ja: ¥4 => よえん
        ko: ₩5,000 => 오천 원
    """,
    "dates": """
        de: am 12.05.2024 und 3. Mai => am zwölften Mai zweitausendvierundzwanzig und dritter Mai
        de: 2024-05-12 => zwölfter Mai zweitausendvierundzwanzig
        fr: 1er mai, 12/05/24 => premier mai, douze mai deux mille vingt-quatre
        es: el 3 de mayo => el tres de mayo
        it: 1 maggio => primo maggio
        pl: 3 maja => trzeciego maja
        ru: 1 мая => первого мая
        uk: 3 травня => третього травня
        cs: 21. května => dvacátého prvního května
        sv: 1 maj => första maj
        ja: 2024/5/1 => にせんにじゅうよねんごがつついたち
        ko: 2024-10-01 => 이천이십사년 시월 일일
    """,
    "times": """
        de: 13:05 Uhr, 8.30 Uhr => dreizehn Uhr fünf, acht Uhr dreißig
        fr: 8h30, 14h, 21:00 => huit heures trente, quatorze heures, vingt et une heures
        es: a la 1:15 => a la una y quince
        it: alle 8.30 => alle otto e trenta
        pt: às 21h => às vinte e uma horas
        pl: 8:30, o 8:05 => ósma trzydzieści, o ósmej zero pięć
        ru: в 8:05 => в восемь ноль пять
        uk: 8:30 => восьма тридцять
        nl: 9:00 uur => negen uur
        cs: v 8:00 => v osm hodin
        sv: kl. 8.30 => klockan åtta trettio
        ja: 4:30 => よじさんじゅっぷん
        ko: 15:05 => 십오 시 오 분
        de: 9:00-17:30 Uhr => neun Uhr bis siebzehn Uhr dreißig
    """,
    "units": """
        de: 1 km, 20 km/h, 25 m² => ein Kilometer, zwanzig Kilometer pro Stunde, \
            fünfundzwanzig Quadratmeter
        de: 3 kg/m³ => drei Kilogramm pro Kubikmeter
        de: 10x15 cm => zehn mal fünfzehn Zentimeter
        fr: 1,5 kg et 2 kg => un virgule cinq kilogramme et deux kilogrammes
        es: 1 kg, 21 kg => un kilogramo, veintiún kilogramos
        pl: 2 km, 5 km, 1,5 km => dwa kilometry, pięć kilometrów, jeden przecinek pięć kilometra
        ru: 21 км, 2 мин, 5 с половиной => двадцать один километр, две минуты, пять с половиной
        uk: 2 км, 5 км => два кілометри, п'ять кілометрів
        tr: %50 ve 50% => yüzde elli ve yüzde elli
        ja: 8分、3階 => はっぷん、さんがい
        ko: 2시간, 10분 => 두 시간, 십 분
        de: in 5 min. => in fünf Minuten.
        de: 5-10 km => fünf bis zehn Kilometer
        ru: 5-10 км => от пяти до десяти километров
    """,
}


def _case(line: str) -> object:
    language, rest = line.strip().split(": ", 1)
    return pytest.param(language, *re.sub("  +", " ", rest).split(" => "), id=line.strip())


CASES = [_case(line) for table in KINDS.values() for line in table.strip().split("\n")]


@pytest.mark.parametrize(("language", "written", "spoken"), CASES)
def test_kinds(language: str, written: str, spoken: str) -> None:
    assert normalize(written, language).text == spoken


def test_a_word_mark_points_at_what_was_written() -> None:
    written = "Sel &amp; pain, le 12 mai 2024, **-5 °C** !"
    words = normalize(written, "fr").words
    assert [word.text for word in words] == ["Sel", "&amp;", "pain", "le", "12 mai 2024", "-5 °C"]


def test_marks_behind_a_sign_go_with_it() -> None:
    assert normalize("1+\u0301 2", "de").text == "eins plus zwei"


def test_of_a_link_its_marks_are_told_and_its_address_is_not() -> None:
    assert normalize("[a](http://b.c)", "de").dropped == dict.fromkeys("[]()", 1)
    assert normalize("f[1](2) &foo; &", "de").text == "f[eins](zwei) und foo; und"


@pytest.mark.parametrize("language", TABLES)
@given(value=st.integers(0, 10**15 - 1))
def test_every_number_is_said(language: str, value: int) -> None:
    """In letters alone, with num2words's trimmed tables as with its own."""
    said = normalize(f"a {value} b", language).text
    assert not any(char.isdigit() for char in said)
    if language in ("de", "fr"):
        from num2words import num2words

        assert cardinal(language, value) == num2words(value, lang=language).replace(",", "")


NUMERIC = st.text("0123456789.,-+:/ €$%°'kmghКч年月日시월円x½²", max_size=40)


@given(text=NUMERIC, language=st.sampled_from(TABLES))
def test_whatever_figures_make_is_read(text: str, language: str) -> None:
    result = normalize(text, language)
    assert not any(char.isdecimal() for char in result.text)


def test_languages_of_one_table_may_differ_by_region_and_others_have_none() -> None:
    assert reader_of("pt-BR") is not reader_of("pt-PT")
    assert reader_of("de-AT") is reader_of("de_DE")
    assert reader_of("fi") is None
    assert knows("fi")


@pytest.mark.parametrize("language", TABLES)
def test_figures_of_any_length_are_read(language: str) -> None:
    """Python makes no number of more than 4,300 digits."""
    digits = "1" * 5000
    for text in (digits, f"{digits}-{digits}", f"{digits},{digits}", f"{digits} €", f"{digits}/2"):
        assert not any(map(str.isdecimal, normalize(text, language).text))
