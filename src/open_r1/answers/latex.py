r"""One spelling for an answer: `\dfrac 43`, `$\frac{4}{3}$` and `\tfrac43.` all become `\frac{4}{3}`.

Does: bring the text of a short mathematical answer, LaTeX or plain, into a canonical spelling, so that most equal
answers are equal strings. It changes spelling alone: nothing is evaluated but `2 million`, reordered or rounded. Does not:
find the answer in a completion (`boxes`, `tags`) or compare values (`numbers`, `rewards.equivalence`).

    >>> canonical(r"\text{ }\dfrac 43 \text{ cm}^2.")
    '\\frac{4}{3}'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

MAX_CHARS = 4000
"""Longer texts are no answers; callers refuse them before they come here, so that every rule has bounded work."""

_UNICODE = str.maketrans(
    {
        **dict.fromkeys("−–—‒﹣－⁻", "-"),
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": "/",
        "∕": "/",
        "⁄": "/",
        "π": r"\pi ",
        "∞": r"\infty ",
        "√": r"\sqrt ",
        "°": r"^\circ ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "±": r"\pm ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "θ": r"\theta ",
        "，": ",",
        "、": ",",
        "；": ";",
        "：": ":",
        "。": ".",
        **{vulgar: f" {unicodedata.normalize('NFKC', vulgar).replace('⁄', '/')} " for vulgar in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
    }
)

_RAISED, _RAISED_DIGITS = re.compile("⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+"), str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_LOWERED, _LOWERED_DIGITS = re.compile("[₀₁₂₃₄₅₆₇₈₉]+"), str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
    )
}

_TEXT_COMMAND = r"\\(?:text(?:bf|it|rm|normal|tt|sf)?|math(?:rm|bf|it|sf|tt)|mbox|hbox|operatorname\*?)\s*"
_NO_UNITS = (
    r"(?:pi|theta|phi|alpha|beta|gamma|delta|lambda|omega|sigma|and|or|mod|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt"
    r"|infinity|inf|(?i:[ap]\.?m)|percent|squared|cubed|factorial|hundred|thousand|million|billion|trillion|dozen)\b"
)
_SHORT_UNITS = r"(?:[cdkmn]m|[km]g|mi|ft|in|yd|lbs?|oz|hrs?|ms|[km]?Hz|kJ|kW|mL|ml|kph|mph|sec|min)"
_NAMED_UNITS = r"(?:inch(?:es)?|feet|foot|units?|meters?|metres?|miles?|square)"
_EXPONENT = r"(?:\s*\^\s*(?:\{-?\d\}|-?\d))"
_NUMERAL = r"(?:\\?\$|[€£¥₹])?\s*[-+]?\d[\d.,/]*"
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALES |= {"万": 10**4, "亿": 10**8}


Replacement = str | Callable[[re.Match[str]], str]


def _rules(*rules: tuple[str, Replacement]) -> list[tuple[re.Pattern[str], Replacement]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


_SPACING = _rules(
    (r"(?<=\d)(?:\{,\}|,\\!|\\[,!])\s*(?=\d{3}(?!\d))", ""),  # 10{,}000  10,\!000  10\,000
    (r"(?<!\\)\\!", ""),
    (r"(?<!\\)\\[,;:> ]|~", " "),
    (r"\\(?:quad|qquad|thinspace|enspace|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])", " "),
    (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\.?", ""),
    (r"\\h?phantom\s*(?:\{[^{}]*\}|[^\\\s])", ""),
    (r"\\\\\s*(?=\\end)", ""),
)

_COMMANDS = _rules(
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\\dbinom(?![A-Za-z])", r"\\binom"),
    (r"\\(?:cdot|times|ast)(?![A-Za-z])|\*(?!\*)(?<!\*\*)", r"\\cdot "),
    (r"\*\*", "^"),
    (r"\\leqs?lant(?![A-Za-z])|\\leq(?![A-Za-z])|<=", r"\\le "),
    (r"\\geqs?lant(?![A-Za-z])|\\geq(?![A-Za-z])|>=", r"\\ge "),
    (r"\\neq(?![A-Za-z])|!=", r"\\ne "),
    (r"\\lt(?![A-Za-z])", "<"),
    (r"\\gt(?![A-Za-z])", ">"),
    (r"\\lbrace(?![A-Za-z])", r"\\{"),
    (r"\\rbrace(?![A-Za-z])", r"\\}"),
    (r"\\lbrack(?![A-Za-z])", "["),
    (r"\\rbrack(?![A-Za-z])", "]"),
    (r"\\varnothing(?![A-Za-z])", r"\\emptyset "),
    (r"\\(begin|end)\s*\{b(matrix)\}", r"\\\1{p\2}"),
    (r"\s*\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})(?:\s*[CF](?![A-Za-z]))?|\\degrees?(?![A-Za-z])", ""),
    (r"\\?\$|\\textdollar(?![A-Za-z])|\\pounds(?![A-Za-z])|[€£¥₹]", ""),
    (r"\\?%|\s*\b[Pp]ercent(?:age)?$|\\%", "%"),
    (r"(?<![A-Za-z\\])(?:pi|Pi|PI)(?![A-Za-z])", r"\\pi "),
    (r"(?<![A-Za-z\\])(?:infinity|infty|inf|oo)(?![A-Za-z])", r"\\infty "),
    (r"\\?(?<![A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\^\s*\(([^()]*)\)", r"^{\1}"),
)

_WORDS = _rules(
    (_TEXT_COMMAND + r"\{([^{}]*)\}", r" \1 "),
    (r"\s+", " "),
    (r"(?<=\d)\s*([AaPp])\.?\s?[Mm](?![A-Za-z])\.?", lambda half: half[1].lower() + "m"),  # 3:45 P.M.
    (r"\s*,?\s*(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])\s*", ", "),
    (r"^\s*(?:\\approx|=)\s*", ""),
    (r"(?<![\d/.,])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d/.])", r"\1\\frac{\2}{\3}"),  # 1 1/2
)

_UNITS = _rules(
    (rf"^({_NUMERAL})\s+(?!{_NO_UNITS})[A-Za-z]{{3,}}(?:[ .]+[A-Za-z]+)*$", r"\1"),  # 18 red apples
    (rf"^({_NUMERAL})\s*{_SHORT_UNITS}{_EXPONENT}?$", r"\1"),  # 5 cm^2
    (rf"^({_NUMERAL})\s*[A-Za-z]{{1,4}}{_EXPONENT}?\s*/\s*[A-Za-z]{{1,4}}{_EXPONENT}?$", r"\1"),  # 9.8 m/s^2
    (rf"^({_NUMERAL})\s+m{_EXPONENT}?$", r"\1"),
    (rf"(\d|\}})\s*(?:{_SHORT_UNITS}|{_NAMED_UNITS}){_EXPONENT}$", r"\1"),
    (rf"^({_NUMERAL})\s*(?:[^\W\x00-\u2fff百千万亿半分之倍成点度和或与]{{1,4}}|度)$", r"\1"),  # 5厘米
    (r"\s*\b(?:degrees?|dollars?|cents?)$", ""),
)

_UNIT_IN_TEXT = re.compile(
    rf"\s*{_TEXT_COMMAND}\{{(?!\s*(?i:[ap]\.?m)\b|\s*(?:and|or)\b|\s*{_NO_UNITS})[^{{}}]*\}}{_EXPONENT}?$"
)
_SCALED = re.compile(
    rf"({_NUMERAL})\s*(?:{_TEXT_COMMAND}\{{\s*)?(?:\b(hundred|thousand|million|billion|trillion|dozen)s?\b|([万亿]))"
    r"(?:\s*\})?"
)
_THOUSANDS = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:[, ]\d{3})+)(?!\d)")
_NEEDLESS_SPACE = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])|(?<=[A-Za-z])\s+(?=\d)|(?<=\d)\s+(?=[A-Za-z])")
_CHOICE = re.compile(r"\(([A-Ja-j])\)|([A-Z])[).:]$")
_RADICAL = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z]))")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_ARGUMENT_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|-?\d+|.", re.DOTALL)


@lru_cache(maxsize=65536)
def canonical(answer: str) -> str:
    """The canonical spelling of `answer` (at most `MAX_CHARS` long); "" when nothing is left of it."""
    text = _strip_wrappers(" ".join(clean_unicode(answer).split()))
    text = " ".join(_apply(_SPACING, text).split())
    text = _apply(_UNITS, _strip_unit_in_text(_SCALED.sub(_scale, text.rstrip(".,;").rstrip(), count=1)))
    text = _apply(_COMMANDS, text)
    text = _apply(_WORDS, text).strip().rstrip(".,;").strip()
    text = _join_thousands(text)
    text = brace_arguments(text)
    text = _NEEDLESS_SPACE.sub("", " ".join(text.split()))
    text = _strip_outer_braces(text)
    choice = _CHOICE.fullmatch(text)
    if choice:
        return (choice[1] or choice[2]).upper()
    return _NUMBER_WORDS.get(text.lower(), text)


def clean_unicode(text: str) -> str:
    """`text` in plain characters: full-width forms and foreign digits as ASCII, no invisible or control characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _RADICAL.sub(r"\\sqrt{\1}", text)
    text = _RAISED.sub(lambda run: f"^{{{run[0].translate(_RAISED_DIGITS)}}}", text)
    text = _LOWERED.sub(lambda run: f"_{{{run[0].translate(_LOWERED_DIGITS)}}}", text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE))
    text = text.translate(_UNICODE)  # NFKC makes characters of the table out of others
    return "".join(_plain_character(character) for character in text)


def _plain_character(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else (" " if character.isspace() else "")
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category.startswith("Z"):
        return " "
    return "" if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Mn"} else character


def brace_arguments(text: str) -> str:
    r"""`\frac43`, `\sqrt2`, `x^2`, `a_1` with their arguments in braces; one pass, no recursion.

    As in TeX an argument without braces is one token, but an exponent or index takes all its digits and its sign, and a root
    all its digits: `2^10` is meant as `2^{10}` by everyone who types it.
    """
    out: list[str] = []
    wanted = [0]  # arguments still wanted, innermost brace last
    in_option = False  # within [...] of \sqrt[3]{x}
    for match in _ARGUMENT_TOKEN.finditer(text):
        token = match.group()
        if in_option:
            out.append(token)
            in_option = token != "]"
        elif token.isspace():
            if not wanted[-1]:
                out.append(token)
        elif token in {"^", "_"}:
            out.append(token)
            wanted[-1] = 1
        elif token in {r"\frac", r"\binom", r"\sqrt"}:
            out.append(token)
            wanted[-1] += 1 if token == r"\sqrt" else 2
        elif token == "[" and out and out[-1] == r"\sqrt":
            out.append(token)
            in_option = True
        elif token == "{":
            out.append(token)
            wanted.append(0)
        elif token == "}":
            out.append(token)
            if len(wanted) > 1:
                wanted.pop()
            wanted[-1] = max(0, wanted[-1] - 1)
        elif wanted[-1]:
            out.append(_brace_token(token, out, wanted))
        else:
            out.append(token)
    return "".join(out)


def _brace_token(token: str, out: list[str], wanted: list[int]) -> str:
    """`token` as the next arguments of what stands before it; digits may fill several arguments at once."""
    if out and out[-1] in {"^", "_", r"\sqrt"}:
        wanted[-1] -= 1
        return f"{{{token}}}"
    if not token.lstrip("-").isdigit() or token.startswith("-"):
        wanted[-1] -= 1
        return f"{{{token}}}"
    count = min(wanted[-1], len(token))
    wanted[-1] -= count
    return "".join(f"{{{digit}}}" for digit in token[:count]) + token[count:]


def _apply(rules: list[tuple[re.Pattern[str], Replacement]], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _strip_unit_in_text(text: str) -> str:
    r"""`5\text{ cm}^2` -> `5`, where a number stands before the unit and no equation between them."""
    unit = _UNIT_IN_TEXT.search(text)
    before = text[: unit.start()] if unit else ""
    return before if any(character.isdigit() for character in before.rpartition("=")[2]) else text


def _scale(match: re.Match[str]) -> str:
    """`1.5 million` -> `1500000`; as it was where the number is none."""
    try:
        number = Decimal(match[1].lstrip("\\$€£¥₹ ").replace(",", ""))
    except ArithmeticError:
        return match[0]
    return format((number * _SCALES[match[2] or match[3]]).normalize(), "f") if len(match[1]) < 40 else match[0]


def _strip_wrappers(text: str) -> str:
    text = text.strip().rstrip(".,;").strip()
    changed = True
    while changed:
        changed = False
        for opening, closing in _WRAPPERS:
            inner = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and inner and closing not in inner:
                text, changed = inner.strip().rstrip(".,;").strip(), True
    return text


def _strip_outer_braces(text: str) -> str:
    while text.startswith("{") and text.endswith("}") and _closes_at_end(text):
        text = text[1:-1]
    return text


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return position == len(text) - 1
    return False


def _join_thousands(text: str) -> str:
    r"""`1,234\pi` -> `1234\pi`; left alone where a comma may also separate the parts of a list or a tuple."""
    joined = _THOUSANDS.sub(lambda match: match[1].replace(",", "").replace(" ", ""), text)
    return text if "," in joined or any(bracket in text for bracket in "([") else joined
