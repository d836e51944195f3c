r"""One spelling for an answer: `\dfrac 43`, `$\frac{4}{3}$` and `\tfrac43.` all become `\frac{4}{3}`.

Does: bring the text of a short mathematical answer, LaTeX or plain, into a canonical spelling, so that most equal
answers are equal strings. It changes spelling alone: nothing is evaluated, reordered or rounded. Does not: find the
answer in a completion (`boxes`, `tags`) or compare values (`numbers`, `rewards.equivalence`).

    >>> canonical(r"\text{ }\dfrac 43 \text{ cm}^2.")
    '\\frac{4}{3}'
"""

from __future__ import annotations

import re
import unicodedata
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
        "°": "",
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
_MATH_WORDS = r"(?:pi|e|i|x|y|z|n|and|or|mod|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|infinity|inf|a\.?m|p\.?m|percent)"
_UNIT_SYMBOLS = r"(?:[ckm]?m|mi|ft|in|yd|inch(?:es)?|feet|units?|meters?|miles?|square)"


def _rules(*rules: tuple[str, str]) -> list[tuple[re.Pattern[str], str]]:
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
    (r"\s*\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})|\\degrees?(?![A-Za-z])", ""),
    (r"\\?\$|\\textdollar(?![A-Za-z])|\\pounds(?![A-Za-z])|[€£¥₹]", ""),
    (r"\\?%|\s*\b[Pp]ercent(?:age)?$|\\%", "%"),
    (r"(?<![A-Za-z\\])(?:pi|Pi|PI)(?![A-Za-z])", r"\\pi "),
    (r"(?<![A-Za-z\\])(?:infinity|infty|inf|oo)(?![A-Za-z])", r"\\infty "),
    (r"\\?(?<![A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\^\s*\(([^()]*)\)", r"^{\1}"),
)

_WORDS = _rules(
    (_TEXT_COMMAND + r"\{([^{}]*)\}", r" \1 "),
    (r"\s*,?\s*(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])\s*", ", "),
    (r"^\s*(?:\\approx|=)\s*", ""),
    (r"(?<![\d/.,])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d/.])", r"\1\\frac{\2}{\3}"),  # 1 1/2
)

_UNITS = _rules(
    (r"(\d[^=]*?)\s*" + _TEXT_COMMAND + r"\{(?!\s*[ap]\.?m|\s*(?:and|or)\b)[^{}]*\}(?:\^\{?\d\}?)?$", r"\1"),
    (r"^([-+]?[\d.,/]+)\s+(?!" + _MATH_WORDS + r"\b)[A-Za-z][A-Za-z]+(?:[ .][A-Za-z.]*)*$", r"\1"),
    (r"(\d|\})\s*" + _UNIT_SYMBOLS + r"\s*\^\s*\{?[23]\}?$", r"\1"),
    (r"^([-+]?[\d.,]+)(?:cm|mm|km|kg|ft|mph)$", r"\1"),
    (r"\s*\b(?:degrees?|dollars?|cents?)$", ""),
)

_THOUSANDS = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:[, ]\d{3})+)(?!\d)")
_NEEDLESS_SPACE = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])|(?<=[A-Za-z])\s+(?=\d)|(?<=\d)\s+(?=[A-Za-z])")
_CHOICE = re.compile(r"\(([A-Za-z])\)|([A-Z])[).:]$")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_ARGUMENT_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|-?\d+|.", re.DOTALL)


@lru_cache(maxsize=65536)
def canonical(answer: str) -> str:
    """The canonical spelling of `answer` (at most `MAX_CHARS` long); "" when nothing is left of it."""
    text = _strip_wrappers(clean_unicode(answer))
    text = _apply(_SPACING, text)
    text = _apply(_UNITS, text.strip().rstrip(".,;").rstrip())
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

    As in TeX an argument without braces is one token, but an exponent or index takes all its digits and its sign:
    `2^10` is meant as `2^{10}` by everyone who types it.
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
            out.append("" if wanted[-1] else token)
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
    if out and out[-1] in {"^", "_"}:
        wanted[-1] -= 1
        return f"{{{token}}}"
    if not token.lstrip("-").isdigit() or token.startswith("-"):
        wanted[-1] -= 1
        return f"{{{token}}}"
    count = min(wanted[-1], len(token))
    wanted[-1] -= count
    return "".join(f"{{{digit}}}" for digit in token[:count]) + token[count:]


def _apply(rules: list[tuple[re.Pattern[str], str]], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


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
