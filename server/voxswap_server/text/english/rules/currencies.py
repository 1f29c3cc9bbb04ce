"""The currencies of ISO 4217, and the signs that they are written with, as English says them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Currency(NamedTuple):
    """A currency in words; ``cent`` is empty if nobody counts its hundredths."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


# A line has a code; one and, if it is not that with an s, several; a hundredth, likewise.
_ISO = """
AED: Emirati dirham; fils/fils
AFN: afghani/afghanis
ALL: lek/lek
AMD: dram/drams
ANG: Antillean guilder; cent
AOA: kwanza/kwanzas; centimo
ARS: Argentine peso; centavo
AUD: Australian dollar; cent
AWG: Aruban florin; cent
AZN: manat/manat
BAM: convertible mark
BBD: Barbadian dollar; cent
BDT: taka/taka; poisha/poisha
BGN: lev/leva; stotinka/stotinki
BHD: Bahraini dinar; fils/fils
BIF: Burundian franc
BMD: Bermudian dollar; cent
BND: Brunei dollar; cent
BOB: boliviano; centavo
BRL: real/reais; centavo
BSD: Bahamian dollar; cent
BTN: ngultrum/ngultrum
BWP: pula/pula; thebe/thebe
BYN: Belarusian ruble; kopeck
BZD: Belize dollar; cent
CAD: Canadian dollar; cent
CDF: Congolese franc
CHF: Swiss franc; centime
CLP: Chilean peso
CNY: yuan/yuan
COP: Colombian peso; centavo
CRC: colón/colones; céntimo
CUP: Cuban peso; centavo
CVE: Cape Verdean escudo
CZK: koruna/korunas; haler
DJF: Djiboutian franc
DKK: Danish krone/Danish kroner; øre/øre
DOP: Dominican peso; centavo
DZD: Algerian dinar; centime
EGP: Egyptian pound; piastre
ERN: nakfa/nakfa; cent
ETB: birr/birr; santim
EUR: euro; cent
FJD: Fijian dollar; cent
FKP: Falkland pound; penny/pence
GBP: pound; penny/pence
GEL: lari/lari; tetri/tetri
GHS: cedi; pesewa
GIP: Gibraltar pound; penny/pence
GMD: dalasi/dalasis; butut
GNF: Guinean franc
GTQ: quetzal/quetzales; centavo
GYD: Guyanese dollar; cent
HKD: Hong Kong dollar; cent
HNL: lempira; centavo
HTG: gourde; centime
HUF: forint/forints
IDR: rupiah/rupiah
ILS: shekel; agora/agorot
INR: rupee; paisa/paise
IQD: Iraqi dinar; fils/fils
IRR: rial
ISK: Icelandic krona/Icelandic kronur
JMD: Jamaican dollar; cent
JOD: Jordanian dinar; piastre
JPY: yen/yen
KES: Kenyan shilling; cent
KGS: som/som
KHR: riel
KMF: Comorian franc
KPW: North Korean won/North Korean won
KRW: won/won
KWD: Kuwaiti dinar; fils/fils
KYD: Cayman dollar; cent
KZT: tenge/tenge
LAK: kip/kip
LBP: Lebanese pound
LKR: Sri Lankan rupee; cent
LRD: Liberian dollar; cent
LSL: loti/maloti
LYD: Libyan dinar; dirham
MAD: Moroccan dirham; centime
MDL: Moldovan leu/Moldovan lei; ban/bani
MGA: ariary/ariary
MKD: denar; deni/deni
MMK: kyat
MNT: tugrik
MOP: pataca
MRU: ouguiya/ouguiya
MUR: Mauritian rupee; cent
MVR: rufiyaa/rufiyaa; laari/laari
MWK: Malawian kwacha/Malawian kwacha
MXN: Mexican peso; centavo
MYR: ringgit/ringgit; sen/sen
MZN: metical/meticais; centavo
NAD: Namibian dollar; cent
NGN: naira/naira; kobo/kobo
NIO: córdoba; centavo
NOK: Norwegian krone/Norwegian kroner; øre/øre
NPR: Nepalese rupee; paisa/paise
NZD: New Zealand dollar; cent
OMR: Omani rial; baisa
PAB: balboa; centésimo
PEN: sol/soles; céntimo
PGK: kina/kina; toea/toea
PHP: peso; centavo
PKR: Pakistani rupee; paisa/paise
PLN: zloty/zlotys; grosz/groszy
PYG: guarani/guaranis
QAR: Qatari riyal; dirham
RON: Romanian leu/Romanian lei; ban/bani
RSD: Serbian dinar; para/para
RUB: ruble; kopeck
RWF: Rwandan franc
SAR: Saudi riyal; halala
SBD: Solomon Islands dollar; cent
SCR: Seychellois rupee; cent
SDG: Sudanese pound; piastre
SEK: Swedish krona/Swedish kronor; öre/öre
SGD: Singapore dollar; cent
SHP: Saint Helena pound; penny/pence
SLE: leone; cent
SOS: Somali shilling; cent
SRD: Surinamese dollar; cent
SSP: South Sudanese pound; piastre
STN: dobra
SYP: Syrian pound
SZL: lilangeni/emalangeni; cent
THB: baht/baht; satang/satang
TJS: somoni/somoni; diram
TMT: Turkmen manat/Turkmen manat
TND: Tunisian dinar
TOP: paanga/paanga; seniti/seniti
TRY: lira/lira; kurush/kurush
TTD: Trinidad and Tobago dollar; cent
TWD: Taiwan dollar; cent
TZS: Tanzanian shilling
UAH: hryvnia/hryvnia; kopeck
UGX: Ugandan shilling
USD: US dollar; cent
UYU: Uruguayan peso; centésimo
UZS: Uzbek som/Uzbek som
VES: bolivar/bolivares; céntimo
VND: dong/dong
VUV: vatu/vatu
WST: tala/tala; sene/sene
XAF: Central African franc
XCD: East Caribbean dollar; cent
XOF: West African franc
XPF: Pacific franc
YER: Yemeni rial
ZAR: rand/rand; cent
ZMW: Zambian kwacha/Zambian kwacha
ZWL: Zimbabwean dollar; cent
BTC: bitcoin
ETH: ether/ether
RMB: yuan/yuan
"""
# A sign, and the code of what it stands for, where the code's name is said.
_SIGNS = """
US$ USD|C$ CAD|CA$ CAD|CAD$ CAD|A$ AUD|AU$ AUD|NZ$ NZD|HK$ HKD|S$ SGD|SG$ SGD|NT$ TWD|R$ BRL
MX$ MXN|Mex$ MXN|J$ JMD|TT$ TTD|EC$ XCD|BZ$ BZD|FJ$ FJD|N$ NAD|Z$ ZWL|L$ LRD|AR$ ARS|CL$ CLP
COL$ COP|RD$ DOP|£ GBP|€ EUR|¥ JPY|JP¥ JPY|CN¥ CNY|₹ INR|₨ INR|₩ KRW|₽ RUB|₺ TRY
₴ UAH|₫ VND|₿ BTC|₱ PHP|₦ NGN|₪ ILS|₡ CRC|₲ PYG|₵ GHS|GH₵ GHS|₸ KZT|₼ AZN|₾ GEL|฿ THB|៛ KHR
₮ MNT|₭ LAK|֏ AMD|৳ BDT|؋ AFN|E£ EGP
"""
# Written with letters: before the number, if it has a stop or a space, or behind it.
_BEFORE = (
    "Rs INR|Rs. INR|RM MYR|Rp IDR|Fr. CHF|SFr. CHF|Kč CZK|kr SEK|kr. DKK|KSh KES|S/ PEN|LE EGP"
)
_BEHIND = "zł PLN|Kč CZK|kr SEK|kr. DKK|Ft HUF|lei RON|лв BGN|руб RUB|грн UAH|Fr. CHF|Rs INR"
# Words that are codes as well: these need a number with decimals or thousands.
WORDS = frozenset(
    re.findall(
        "[A-Z]+",
        "ALL BAM BOB COP CUP GEL LAK MAD MOP NAD PEN RON SAR SOS TOP TRY ETH PAB CRC PHP AMD SDG "
        "ERN MUR DOP SCR",
    )
)


def _currencies() -> Iterator[tuple[str, Currency]]:
    for line in _ISO.strip().split("\n"):
        code, _, names = line.partition(": ")
        currency, _, cent = names.partition("; ")
        one, _, many = currency.partition("/")
        part, _, parts = cent.partition("/")
        yield code, Currency(one, many or f"{one}s", part, parts or (part and f"{part}s"))


CODES: Mapping[str, Currency] = dict(_currencies())
"""By their codes of three letters."""


def _signs(listing: str) -> dict[str, Currency]:
    pairs = (entry.rsplit(" ", 1) for line in listing.split("\n") for entry in line.split("|"))
    return {sign: _plainly(CODES[code], sign) for sign, code in (p for p in pairs if len(p) == 2)}


def _plainly(currency: Currency, sign: str) -> Currency:
    """ "kr" is a krona of any country."""
    if not sign.startswith("kr"):
        return currency
    return currency._replace(one="krona" if sign == "kr" else "krone", many="kronor")


CURRENCIES: Mapping[str, Currency] = {
    "$": Currency("dollar", "dollars", "cent", "cents"),
    **_signs(_SIGNS.strip()),
}
"""By their signs, which stand before a number or behind it."""
LETTERED_BEFORE: Mapping[str, Currency] = _signs(_BEFORE)
"""By abbreviations before a number."""
LETTERED_BEHIND: Mapping[str, Currency] = {**_signs(_BEHIND), **CODES}
"""By abbreviations and codes behind a number."""
