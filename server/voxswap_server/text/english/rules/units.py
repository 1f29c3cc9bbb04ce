"""Units and scales of English, as written and as said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit in words. ``only_joined``: spaced from its number it is a word: "3 in the morning"."""

    one: str
    many: str
    only_joined: bool = False

    @property
    def of(self) -> str:
        """What stands between a fraction and the unit."""
        return "of an " if self.one[0] in "aeio" or self.one.startswith("hour") else "of a "


SCALES: Mapping[str, str] = {
    **{scale: scale for scale in ("thousand", "million", "billion", "trillion")},
    **dict.fromkeys(("k", "K"), "thousand"),
    **dict.fromkeys(("m", "M", "mn"), "million"),
    **dict.fromkeys(("b", "B", "bn"), "billion"),
    **dict.fromkeys(("t", "T", "tn"), "trillion"),
}

# The singular, and how the unit is written. The plural adds an s.
_REGULAR: Mapping[str, str] = {
    "nanometer": "nm",
    "micrometer": "µm μm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "kilometer": "km",
    "mile": "mi",
    "yard": "yd yds",
    "square meter": "m² m2",
    "square centimeter": "cm² cm2",
    "square kilometer": "km² km2",
    "square mile": "mi²",
    "hectare": "ha",
    "cubic meter": "m³ m3",
    "cubic centimeter": "cm³ cm3 cc",
    "microgram": "µg μg",
    "milligram": "mg",
    "gram": "g",
    "kilogram": "kg",
    "pound": "lb lbs",
    "ounce": "oz",
    "milliliter": "ml mL",
    "centiliter": "cl cL",
    "liter": "l L",
    "gallon": "gal",
    "teaspoon": "tsp",
    "tablespoon": "tbsp",
    "nanosecond": "ns",
    "microsecond": "µs μs",
    "millisecond": "ms",
    "second": "s sec secs",
    "minute": "min mins",
    "hour": "h hr hrs",
    "week": "wk wks",
    "month": "mo",
    "year": "yr yrs",
    "kilobyte": "kB KB",
    "megabyte": "MB",
    "gigabyte": "GB",
    "terabyte": "TB",
    "kibibyte": "KiB",
    "mebibyte": "MiB",
    "gibibyte": "GiB",
    "milliwatt": "mW",
    "watt": "W",
    "kilowatt": "kW",
    "megawatt": "MW",
    "gigawatt": "GW",
    "kilowatt hour": "kWh",
    "megawatt hour": "MWh",
    "millivolt": "mV",
    "volt": "V",
    "kilovolt": "kV",
    "milliamp": "mA",
    "milliamp hour": "mAh",
    "ohm": "Ω",
    "decibel": "dB",
    "kilojoule": "kJ",
    "calorie": "cal",
    "kilocalorie": "kcal",
    "kilopascal": "kPa",
    "hectopascal": "hPa",
    "pixel": "px",
    "megapixel": "MP",
    "newton": "N",
    "kilonewton": "kN",
    "newton meter": "Nm N·m N⋅m",
    "pascal": "Pa",
    "megapascal": "MPa",
    "joule": "J",
    "megajoule": "MJ",
    "mole": "mol",
    "millimole": "mmol",
    "deciliter": "dl dL",
    "microliter": "µl µL μl μL",
    "tonne": "t",
    "petabyte": "PB",
    "kilobit": "kb kbit",
    "megabit": "Mb Mbit",
    "gigabit": "Gb Gbit",
    "watt hour": "Wh",
    "acre": "ac",
    "quart": "qt qts",
    "fluid ounce": "fl.oz floz",
    "bar": "bar",
    "knot": "kn kts",
    "cent": "¢",
}
# How the unit is written, then its singular and plural.
_IRREGULAR: Mapping[str, tuple[str, str]] = {
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    **{
        f"{mark}{space}{letter}": (f"degree {scale}", f"degrees {scale}")
        for mark in ("°", "º", "˚", "deg ", "deg. ", "degree ", "degrees ")
        for space in ("", " ")
        for letter, scale in (("C", "Celsius"), ("F", "Fahrenheit"))
        if mark[0] != "d" or not space
    },
    **dict.fromkeys(("°", "º", "˚", "deg"), ("degree", "degrees")),
    **{
        f"°{space}{letter}": (f"degree {side}", f"degrees {side}")
        for space in ("", " ")
        for letter, side in (("N", "north"), ("S", "south"), ("E", "east"), ("W", "west"))
    },
    "fl oz": ("fluid ounce", "fluid ounces"),
    "fl. oz": ("fluid ounce", "fluid ounces"),
    "sq m": ("square meter", "square meters"),
    "sq mi": ("square mile", "square miles"),
    "sq km": ("square kilometer", "square kilometers"),
    "cu ft": ("cubic foot", "cubic feet"),
    "ft³": ("cubic foot", "cubic feet"),
    "in²": ("square inch", "square inches"),
    "in³": ("cubic inch", "cubic inches"),
    "ft": ("foot", "feet"),
    "ft²": ("square foot", "square feet"),
    "sq ft": ("square foot", "square feet"),
    "sq. ft": ("square foot", "square feet"),
    "mph": ("mile per hour", "miles per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "kmh": ("kilometer per hour", "kilometers per hour"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "fps": ("frame per second", "frames per second"),
    "dpi": ("dot per inch", "dots per inch"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "kbps": ("kilobit per second", "kilobits per second"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
    "M": ("million", "million"),
    "bn": ("billion", "billion"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
}
UNITS: Mapping[str, Unit] = {
    **{form: Unit(one, f"{one}s") for one, forms in _REGULAR.items() for form in forms.split()},
    **{form: Unit(one, many) for form, (one, many) in _IRREGULAR.items()},
    "in": Unit("inch", "inches", only_joined=True),
    **{
        form: Unit(one, f"{one}s", only_joined=True)
        for one, form in (*(("tonne", "t"), ("megapixel", "MP"), ("bar", "bar"), ("joule", "J")),)
    },
    "p": Unit("penny", "pence", only_joined=True),
    "x": Unit("times", "times", only_joined=True),
}
"""Units that follow a number."""

_PER_WORDS = (
    *("second", "minute", "hour", "day", "night", "week", "month", "year"),
    *("person", "head", "mile", "pound", "liter", "unit", "page", "user", "item", "piece"),
)
_POWERS = {"²": "square", "2": "square", "^2": "square", "³": "cubic", "3": "cubic", "^3": "cubic"}
_RAISED = {"square": "squared", "cubic": "cubed"}
# Of a time they say "per second squared", of a length "per square meter".
_TIMES = frozenset({"second", "minute", "hour", "millisecond"})
_PER: Mapping[str, str] = {
    **{
        written: unit.one for written, unit in UNITS.items() if written.isalpha() and written != "x"
    },
    **{word: word for word in _PER_WORDS},
    "d": "day",
    "K": "kelvin",
    "100km": "one hundred kilometers",
    "100 km": "one hundred kilometers",
}
# Whatever looks like a unit: tables tell, since a pattern of all of them takes 20 ms to compile.
UNIT = (
    r"(?:deg(?:rees?)?\.? [CF](?!\w)|(?:sq|cu|fl)\.? [a-z]{1,2}"
    r"|[A-Za-zµμΩ]{1,12}(?:[·⋅.][a-z]{1,2})?[²³23]?|[°º˚](?:\s?[CFNSEW](?!\w))?|[%‰¢])"
)
"""What may be a unit; `UNITS` has those that are."""
PER_PATTERN = (
    r"(?: ?/ ?(?P<per>100 ?km|[A-Za-zµμ]{1,8})(?P<power>\^[23]|[²³23])?"
    r"(?:/(?P<also>[A-Za-z]{1,8}))?(?!\w)"
    r"|[·⋅ ](?P<inverse>[A-Za-z]{1,3})\^?-(?P<degree>[123])(?!\w))"
)
"""What may follow a unit or an amount: "km/h", "m/s²", "$5/day", "m s-2"."""


def per(match: re.Match[str]) -> str | None:
    """ "per hour", for a match that has `PER_PATTERN`; None if nobody counts by that."""
    unit, power = match["per"], _POWERS.get(match["power"] or "")
    if match["inverse"]:
        unit, power = match["inverse"], {"2": "square", "3": "cubic"}.get(match["degree"])
    words, also = _PER.get(unit), _PER.get(match["also"] or "")
    if not words or bool(match["also"]) != bool(also):
        return None
    end = f" per {also}" if also else ""
    if not power:
        return f"per {words}{end}"
    return f"per {words} {_RAISED[power]}{end}" if words in _TIMES else f"per {power} {words}{end}"
