"""Abbreviations of English, as data: what they stand for, and where."""

from __future__ import annotations

from collections.abc import Mapping

from voxswap_server.text.english.rules.dates import MONTHS


def _pairs(listing: str) -> dict[str, str]:
    entries = (entry.strip() for entry in listing.replace("\n", "|").split("|"))
    return {entry.split(" ", 1)[0]: entry.split(" ", 1)[1] for entry in entries if entry}


STOP_OR_NOT: Mapping[str, str] = _pairs("""
Mr Mister|Mrs Missus|vs versus|etc et cetera|aka also known as|a.k.a also known as|e.g for example
E.g For example|i.e that is|I.e That is|Ph.D PhD|Messrs Messieurs|Msgr Monsignor|Blvd Boulevard
Pkwy Parkway|Ste Suite|approx approximately|WWI World War one|WWII World War two
""")
"""Read this way with a full stop or without."""
STOPPED: Mapping[str, str] = {
    **_pairs("""
Ms Ms|Prof Professor|Gen General|Col Colonel|Maj Major|Capt Captain|Cpt Captain|Lt Lieutenant
Sgt Sergeant|Cpl Corporal|Pvt Private|Pte Private|Adm Admiral|Cmdr Commander|Cdr Commander
Brig Brigadier|Ens Ensign|Rev Reverend|Hon Honorable|Gov Governor|Sen Senator|Rep Representative
Pres President|Fr Father|Mt Mount|Ft Fort|Jr Junior|Sr Senior|Amb Ambassador|Atty Attorney
Insp Inspector|Det Detective|Supt Superintendent|Cllr Councillor|Ald Alderman|Abp Archbishop
Bp Bishop|Sts Saints|Inc Incorporated|Ltd Limited|Co Company|Corp Corporation|Bros Brothers
Assn Association|Assoc Associates|Ave Avenue|Rd Road|Hwy Highway|Ln Lane|Ct Court|Pl Place
Sq Square|Cres Crescent|Ter Terrace|Dept Department|dept department|Dist District|Div Division
Govt Government|govt government|Univ University|Inst Institute|Natl National|Intl International
al al|cf compare|viz namely|misc miscellaneous|tel telephone|Tel Telephone|resp respectively
incl including|excl excluding|esp especially|cont continued|temp temperature|qty quantity
dept department|asst assistant|Asst Assistant|mgr manager|Mgr Manager|Sept September
"""),
    **{month[:3]: month for month in MONTHS if month != "May"},
}
"""Other words, or names, without their full stop."""
BEFORE_NUMBER: Mapping[str, str] = _pairs("""
no number|nos numbers|p page|pp pages|pg page|pgs pages|vol volume|vols volumes|ch chapter
chap chapter|fig figure|figs figures|sec section|sect section|art article|eq equation|apt apartment
rte route|rt route|ep episode|eps episodes|lv level|lvl level|min minimum|max maximum|ext extension
ste suite|rm room|bldg building|pt part|pts parts|mk mark|bk book|app appendix|ex example|tab table
ver version|ca circa|c circa|est established|op opus|para paragraph|ser series|var variant
ed edition|hwy highway|fl floor|ln line|v verse|vv verses|approx approximately
dist district|tel telephone
""")
"""Only before a number: "No. 5"."""
BEFORE_LETTER = frozenset(
    ["fig", "figs", "apt", "ste", "bldg", "rm", "app", "ex", "tab", "sec", "pt", "vol", "mk", "var"]
)
"""Also before a letter: "Fig. A"."""
WITHOUT_STOP = frozenset(
    [
        *("Apt", "Ste", "Lv", "Lvl", "lvl", "Ep", "ep", "Fig", "Mk", "Vol", "vol", "Rm", "Bldg"),
        *("Rte", "Hwy", "Ext", "ext", "Ver", "pg", "Pg", "Ch", "ch", "pp", "Ex", "Rt", "Pt"),
    ]
)
"""Of these, the ones that are no words without a full stop either."""
WEEKDAYS: Mapping[str, str] = _pairs("""
Mon Monday|Tue Tuesday|Tues Tuesday|Wed Wednesday|Weds Wednesday|Thu Thursday|Thur Thursday
Thurs Thursday|Fri Friday|Sat Saturday|Sun Sunday
""")
WORDS = frozenset(["Mon", "Wed", "Sat", "Sun", "Fri"])
"""Of the days, those that are words or names as well."""
MONTH_OF: Mapping[str, str] = {month[:3]: month for month in MONTHS}
SHORT_MONTHS: Mapping[str, str] = {
    **{month[:3]: month for month in MONTHS if month not in {"May", "March", "June", "July"}},
    "Sept": "September",
}
"""Months that are said in full wherever they stand; Jan may be a name."""
STREETS: Mapping[str, str] = _pairs("""
St Street|Ave Avenue|Blvd Boulevard|Rd Road|Dr Drive|Ln Lane|Ct Court|Pl Place|Sq Square
Hwy Highway|Pkwy Parkway|Cres Crescent|Ter Terrace|Cir Circle|Trl Trail|Aly Alley|Expy Expressway
""")
STREET_WORDS = frozenset(STREETS) | frozenset(STREETS.values()) | {"Way", "Row", "Broadway", "Walk"}
STROKES: Mapping[str, str] = _pairs("""
w/o without|W/o Without|w/ with|W/ With|b/c because|c/o care of|and/or and or|And/or And or|n/a N A
N/A N A|a/c A C|A/C A C|w/in within|b/w between|km/h kilometers per hour|I/O I O|TCP/IP TCP IP
24/7 twenty-four seven|d/l download|u/l upload|s/he she or he|AT&T A T and T
""")
"""Abbreviations that have a stroke."""
