"""Units, currencies and scales of English, as written and as said."""

from __future__ import annotations

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


class Currency(NamedTuple):
    """A currency in words; ``cent`` is empty if nobody counts its hundredths."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


CURRENCIES: Mapping[str, Currency] = {
    "$": Currency("dollar", "dollars", "cent", "cents"),
    "US$": Currency("US dollar", "US dollars", "cent", "cents"),
    "C$": Currency("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "CA$": Currency("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "A$": Currency("Australian dollar", "Australian dollars", "cent", "cents"),
    "AU$": Currency("Australian dollar", "Australian dollars", "cent", "cents"),
    "NZ$": Currency("New Zealand dollar", "New Zealand dollars", "cent", "cents"),
    "HK$": Currency("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₩": Currency("won", "won"),
    "₽": Currency("ruble", "rubles", "kopeck", "kopecks"),
    "₺": Currency("lira", "lira"),
    "₴": Currency("hryvnia", "hryvnia"),
    "₫": Currency("dong", "dong"),
    "₿": Currency("bitcoin", "bitcoin"),
}

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
    "pound": "lb lbs GBP",
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
    "cent": "¢",
    "US dollar": "USD",
    "Canadian dollar": "CAD",
    "Australian dollar": "AUD",
    "euro": "EUR",
}
# How the unit is written, then its singular and plural.
_IRREGULAR: Mapping[str, tuple[str, str]] = {
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "°": ("degree", "degrees"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
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
    "JPY": ("yen", "yen"),
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
    "p": Unit("penny", "pence", only_joined=True),
    "x": Unit("times", "times", only_joined=True),
}
"""Units that follow a number."""

_PER_WORDS = (
    *("second", "minute", "hour", "day", "night", "week", "month", "year"),
    *("person", "head", "mile", "pound", "liter", "unit"),
)
PER: Mapping[str, str] = {
    **{written: unit.one for written, unit in UNITS.items() if written.isalpha()},
    **{word: word for word in _PER_WORDS},
}
"""What may follow the stroke in "60 km/h" or "$5/day"."""
