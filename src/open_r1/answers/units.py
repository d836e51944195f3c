r"""Units of measure: which there are, what they measure, and how they convert.

What follows a number is a unit (`km/h`, `cm^{2}`, `square feet`, `厘米`) or words that count things (`red apples`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from open_r1.answers.words import NOT_UNITS

MAX_WORDS = 5
"""A number is followed by so many words at most; more are a sentence."""

Dimension = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Unit:
    """What a number counts: `factor` times the base unit of `dimension`, or things that `words` name."""

    factor: Fraction = Fraction(1)
    dimension: Dimension = ()
    words: frozenset[str] = frozenset()

    def __mul__(self, other: Unit) -> Unit:
        return Unit(self.factor * other.factor, _combined(self.dimension, other.dimension, 1))

    def __truediv__(self, other: Unit) -> Unit:
        return Unit(self.factor / other.factor, _combined(self.dimension, other.dimension, -1))

    def __pow__(self, power: int) -> Unit:
        return Unit(self.factor**power, tuple((base, exponent * power) for base, exponent in self.dimension if power))


_TABLE = """
length m 1 meter meters metre metres 米 公尺
length cm 1/100 centimeter centimeters centimetre centimetres 厘米 公分
length mm 1/1000 millimeter millimeters millimetre millimetres 毫米
length dm 1/10 decimeter decimeters decimetre decimetres 分米
length km 1000 kilometer kilometers kilometre kilometres 千米 公里
length nm 1/1000000000 nanometer nanometers
length in 127/5000 inch inches 英寸
length ft 381/1250 foot feet 英尺
length yd 1143/1250 yard yards
length mi 201168/125 mile miles 英里
mass kg 1 kilogram kilograms 千克 公斤
mass g 1/1000 gram grams 克
mass mg 1/1000000 milligram milligrams 毫克
mass t 1000 tonne tonnes 吨
mass lb 45359237/100000000 lbs pound pounds
mass oz 45359237/1600000000 ounce ounces
time s 1 sec secs second seconds 秒 秒钟
time min 60 mins minute minutes 分钟
time h 3600 hr hrs hour hours 小时
time d 86400 day days 天
time week 604800 weeks wk wks 周
time ms 1/1000 millisecond milliseconds
month month 1 months 个月
month year 12 years yr yrs 年
volume L 1/1000 l liter liters litre litres 升
volume mL 1/1000000 ml milliliter milliliters millilitre millilitres 毫升
volume gallon 473176473/125000000000 gallons gal
volume cc 1/1000000
area ha 10000 hectare hectares
area acre 316160658/78125 acres
speed mph 1397/3125
speed kph 5/18 kmh
speed knot 463/900 knots
money dollar 1 dollars usd USD $ bucks 美元
money cent 1/100 cents ¢
euro euro 1 euros eur EUR €
pound-sterling £ 1 gbp GBP
yen ¥ 1 yen yuan rmb RMB CNY 元 块 块钱
rupee ₹ 1 rupee rupees Rs
angle ° 1 degree degrees deg 度
angle-rad rad 1 radian radians rads
temperature °C 1 celsius
temperature-F °F 1 fahrenheit
temperature-K K 1 kelvin kelvins
force N 1 newton newtons
energy J 1 joule joules
energy kJ 1000 kilojoule kilojoules
energy cal 4184/1000
energy kWh 3600000
power W 1 watt watts
power kW 1000 kilowatt kilowatts
pressure Pa 1 pascal pascals
pressure kPa 1000 kilopascal kilopascals
pressure atm 101325
voltage V 1 volt volts
current amp 1 amps ampere amperes
resistance Ω 1 ohm ohms
frequency Hz 1 hertz
frequency kHz 1000 kilohertz
frequency MHz 1000000 megahertz
amount mol 1 mole moles
data byte 1 bytes
data bit 1/8 bits
data KB 1000 kilobytes
data MB 1000000 megabytes
data GB 1000000000 gigabytes
count unit 1 units 个 只 人 本 条 张 名 位 支 件 种 次 辆 棵 头 块 颗 朵 双
"""
_DERIVED = {
    "volume": (("length", 3),), "area": (("length", 2),), "speed": (("length", 1), ("time", -1)),
    "force": (("length", 1), ("mass", 1), ("time", -2)), "energy": (("length", 2), ("mass", 1), ("time", -2)),
    "power": (("length", 2), ("mass", 1), ("time", -3)), "pressure": (("length", -1), ("mass", 1), ("time", -2)),
    "frequency": (("time", -1),),
}  # fmt: skip


def _read_table() -> dict[str, Unit]:
    units = {}
    for line in _TABLE.split("\n"):
        if line:
            kind, name, factor, *others = line.split()
            dimension = () if kind == "count" else _DERIVED.get(kind, ((kind, 1),))
            for spelling in (name, *others):
                units.setdefault(spelling, Unit(Fraction(factor), dimension))
    return units


UNITS = _read_table()
"""Every spelling of a known unit."""

COUNT = Unit()
CURRENCIES = "$€£¥₹"
_ALONE_UNSAFE = frozenset({"h", "d", "t", "l", "K", "N", "J", "W", "V", "s", "g", "m", "L", "in", "cal", "rad"})
"""Units that are also letters of a formula: read as units only after a space, or in a compound such as `m/s`."""

_FACTOR = re.compile(
    r"(?P<times>\s*\\cdot\s*|\s*/\s*|\s*\bper\s+|\s*)(?P<power>(?:square|cubic|sq\.?|cu\.?)\s+|平方|立方)?"
    r"(?P<name>°[CF]|°|[A-Za-zΩµ]+|[¢$€£¥₹]|[\u4e00-\u9fff]+?(?=/|$|\s))\.?"
    r"(?:\^\{?(?P<exponent>-?\d)\}?|(?P<after>[ ]squared|[ ]cubed))?"
)
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3, " squared": 2, " cubed": 3}
_HAN_WORD = re.compile(r"[\u4e00-\u9fff]{1,4}")
_HAN_NOT_UNITS = frozenset("百千万亿半分之倍成点和或与平方阶乘根次负加减乘除余打度正十零一二三四五六七八九")
_COUNT_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*\.?")


def read_unit(text: str, is_spaced: bool = True) -> Unit | None:
    """The unit, or the words that count things, that stand after a number; None where they are neither."""
    text = text.strip().strip("()").strip().rstrip(".")
    text = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not text or len(text) > 80:
        return None
    known = _read_known(text, is_spaced)
    if known is not None:
        return known
    if _HAN_WORD.fullmatch(text):
        return None if _HAN_NOT_UNITS.intersection(text) else Unit(words=frozenset({text}))
    words = text.replace(",", " ").split()
    if len(words) > MAX_WORDS or not all(_COUNT_WORD.fullmatch(word) for word in words):
        return None
    plain = [word.lower().rstrip(".") for word in words]
    if NOT_UNITS.intersection(plain) or not is_spaced:
        return None
    if any(len(word) < 3 and word not in {"of", "in", "on", "at", "up", "cm", "km", "kg"} for word in plain):
        return None
    if any(part in NOT_UNITS for word in plain for part in word.split("-")):
        return None
    return Unit(words=frozenset(_singular(word) for word in plain if word not in {"of", "the", "in", "total"}))


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) > 3 else word


def _read_known(text: str, is_spaced: bool) -> Unit | None:
    factors = list(_FACTOR.finditer(text))
    if "".join(match[0] for match in factors) != text or not all(match["times"] for match in factors[1:]):
        return None
    if len(factors) == 1 and not is_spaced and re.sub(r"\^.*", "", text) in _ALONE_UNSAFE:
        return None
    unit = COUNT
    for match in factors:
        factor = _known_factor(match)
        if factor is None:
            return None
        unit = unit / factor if match["times"].strip() in {"/", "per"} else unit * factor
    return unit


def _known_factor(match: re.Match[str]) -> Unit | None:
    name = match["name"]
    unit = UNITS.get(name) or (UNITS.get(name.lower()) if len(name) > 2 else None)
    if unit is None:
        return None
    power = _POWERS.get((match["power"] or "").strip().rstrip(".")) or _POWERS.get(match["after"] or "")
    exponent = int(match["exponent"]) if match["exponent"] else power or 1
    return unit**exponent if exponent else None


def _combined(first: Dimension, second: Dimension, sign: int) -> Dimension:
    powers = dict(first)
    for base, exponent in second:
        powers[base] = powers.get(base, 0) + sign * exponent
    return tuple(sorted((base, exponent) for base, exponent in powers.items() if exponent))


def agree(gold: Unit, answer: Unit) -> bool:
    """Whether two units measure the same: they convert, or name the same things, one perhaps with fewer words."""
    if gold.words or answer.words:
        smaller, larger = sorted((gold.words, answer.words), key=len)
        return smaller <= larger and (bool(smaller) or not (gold.dimension or answer.dimension))
    return gold.dimension == answer.dimension
