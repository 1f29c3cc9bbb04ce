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

# Written forms, then the singular; the plural adds an s.
_REGULAR = """
nm nanometer | µm μm micrometer | mm millimeter | cm centimeter | m meter | km kilometer
mi mile | yd yard | nmi nautical mile
µg μg microgram | mg milligram | g gram | kg kilogram | t tonne | lb lbs pound | oz ounce
ml mL milliliter | cl centiliter | dl deciliter | l L liter | gal gallon | qt quart | pt pint
tsp teaspoon | tbsp tablespoon
ns nanosecond | µs μs microsecond | ms millisecond | s sec secs second | min mins minute
h hr hrs hour | wk wks week | yr yrs year
m² m2 sq.m square meter | cm² cm2 square centimeter | mm² mm2 square millimeter
km² km2 square kilometer | mi² square mile | ha hectare
m³ m3 cubic meter | cm³ cm3 cubic centimeter | cc cubic centimeter
B byte | kB KB kilobyte | MB megabyte | GB gigabyte | TB terabyte | PB petabyte
KiB kibibyte | MiB mebibyte | GiB gibibyte | TiB tebibyte
Hz hertz | kHz kilohertz | MHz megahertz | GHz gigahertz
mW milliwatt | W watt | kW kilowatt | MW megawatt | GW gigawatt
kWh kilowatt hour | MWh megawatt hour | mV millivolt | V volt | kV kilovolt
mA milliamp | mAh milliamp hour | Ah amp hour | Ω ohm | kΩ kilohm | dB decibel
J joule | kJ kilojoule | cal calorie | kcal kilocalorie | N newton | Pa pascal | kPa kilopascal
hPa hectopascal | px pixel | ¢ cent | USD US dollar | CAD Canadian dollar | AUD Australian dollar
EUR euro | GBP pound
"""
# Written forms, then singular and plural.
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
}
_ONLY_JOINED: Mapping[str, Unit] = {
    "in": Unit("inch", "inches", only_joined=True),
    "p": Unit("penny", "pence", only_joined=True),
    "x": Unit("times", "times", only_joined=True),
}


def _regular() -> Mapping[str, Unit]:
    units: dict[str, Unit] = {}
    for row in _REGULAR.replace("\n", " | ").split("|"):
        written, one = _split_row(row.split())
        units.update(dict.fromkeys(written, Unit(one, one if one.endswith("hertz") else f"{one}s")))
    return units
