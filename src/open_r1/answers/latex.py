r"""One spelling for an answer: `\dfrac 43`, `$\frac{4}{3}$` and `\tfrac43.` all become `\frac{4}{3}`.

It changes spelling alone: words, units and numerals keep their meaning, and nothing is evaluated, reordered or rounded.

    >>> canonical(r"\boldsymbol{\dfrac 43}\,\text{cm}^2.")
    '\\frac{4}{3} cm^{2}'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

MAX_CHARS = 4000
"""Longer texts are not answers; callers refuse them before they come here, so that every rule has bounded work."""

MAX_NESTED = 6
"""Commands around commands, as in `\\text{\\textbf{42}}`, are opened so many deep."""

_COMMAND_OF = {
    **{"×": "times", "·": "cdot", "⋅": "cdot", "π": "pi", "∞": "infty", "√": "sqrt", "≤": "le", "≥": "ge", "≠": "ne"},
    **{"≈": "approx", "±": "pm", "∪": "cup", "∩": "cap", "∈": "in", "∅": "emptyset", "ℝ": "mathbb{R}", "θ": "theta"},
    **{"α": "alpha", "β": "beta", "∖": "setminus", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil"},
    "…": "ldots",
}
_UNICODE = str.maketrans(
    dict.fromkeys("−–—‒﹣－⁻", "-")
    | dict.fromkeys("÷∕⁄", "/")
    | dict.fromkeys("，、", ",")
    | dict.fromkeys("′’‘", "'")
    | dict.fromkeys("“”", '"')
    | {"；": ";", "：": ":", "。": ".", "″": "''"}
    | {character: rf"\{command} " for character, command in _COMMAND_OF.items()}
    | {vulgar: f" {unicodedata.normalize('NFKC', vulgar).replace('⁄', '/')} " for vulgar in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
)

_RAISED, _RAISED_DIGITS = re.compile("⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+"), str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_LOWERED, _LOWERED_DIGITS = re.compile("[₀₁₂₃₄₅₆₇₈₉]+"), str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_RADICAL = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z]))")

Replacement = str | Callable[[re.Match[str]], str]


def _rules(*rules: tuple[str, Replacement]) -> list[tuple[re.Pattern[str], Replacement]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


_END = r"(?![A-Za-z])"
_STYLES = (
    r"text(?:bf|it|rm|normal|tt|sf|up|sc|md)?|math(?:rm|bf|it|sf|tt|normal|scr|cal)|mbox|hbox|emph|boldsymbol|bm|pmb"
    r"|underline|uline|operatorname\*?|ensuremath|boxed|fbox"
)
_STYLED = re.compile(rf"\\(?:{_STYLES})\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}")
_COLOURED = re.compile(r"\\(?:textcolor|colorbox|color)\s*(?:\[[A-Za-z]*\])?\s*\{[^{}]*\}")
_BARE_STYLED = re.compile(rf"\\(?:mathrm|mathbf|mathit|mathsf|bm|boldsymbol)\s*([A-Za-z0-9]|\\[A-Za-z]+){_END}")
_BRACED = re.compile(r"\\(?:boldsymbol|bm|pmb|underline|uline|ensuremath|mathbf|mathrm|textbf|text)\s*(?=\{)")

_SPACING = _rules(
    (r"(?<=\d)(?:\{,\}|,\\!|\\[,!])\s*(?=\d{3}(?!\d))", ""),  # 10{,}000  10,\!000  10\,000
    (r"\\[hv]space\*?\s*\{[^{}]*\}", " "),
    (r"\\tag\*?\s*\{[^{}]*\}|\\(?:blacksquare|qed|checkmark)" + _END, " "),
    (r"\\[hv]?phantom\s*(?:\{[^{}]*\}|[^\\\s])", ""),
    (r"(?<!\\)\\!", ""),
    (r"(?<!\\)\\[,;:> ]|(?<!\\)\\$|~", " "),
    (r"\\(?:quad|qquad|thinspace|enspace|displaystyle|textstyle|limits|nolimits|noindent)" + _END, " "),
    (r"\\(?:rm|bf|it|sf|tt|sl|tiny|small|normalsize|[lL]arge|LARGE|[hH]uge)" + _END, " "),
    (r"\\(?:left|right|middle|[bB]igg?[lrm]?)" + _END + r"\.?", ""),
    (
        r"\\begin\s*\{(?:aligned|align|equation|gathered|split)\*?\}|\\end\s*\{(?:aligned|align|equation|gathered|split)\*?\}",
        " ",
    ),
    (r"^\s*\\begin\s*\{array\}\s*(?:\{[^{}]*\})?([^&\\]*)\\end\s*\{array\}\s*$", r" \1 "),
    (r"\\\\\s*(?=\\end)", ""),
)

_MARKS = {
    **{"lt": "<", "gt": ">", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]"},
    **{"textdollar": "$", "pounds": "£", "euro": "€"},
}
_COMMANDS = _rules(
    (rf"\{{([^{{}}]*)\\over{_END}([^{{}}]*)\}}", r"\\frac{\1}{\2}"),
    (rf"\{{([^{{}}]*)\\choose{_END}([^{{}}]*)\}}", r"\\binom{\1}{\2}"),
    (r"(?:\{\}|(?<![A-Za-z0-9}]))_\s*\{?(\d+)\}?\s*C_\s*\{?(\d+)\}?", r"\\binom{\1}{\2}"),
    (r"(?<![A-Za-z\\])C_\s*\{?(\d+)\}?\s*\^\s*\{?(\d+)\}?", r"\\binom{\1}{\2}"),
    (r"\\[dtc]frac" + _END, r"\\frac"),
    (r"\\[dt]binom" + _END, r"\\binom"),
    (rf"\\(?:cdot|times|ast){_END}|\*(?!\*)(?<!\*\*)", r"\\cdot "),
    (r"\*\*", "^"),
    (rf"\\leqs?lant{_END}|\\leq{_END}|<=|=<", r"\\le "),
    (rf"\\geqs?lant{_END}|\\geq{_END}|>=", r"\\ge "),
    (rf"\\neq{_END}|!=", r"\\ne "),
    (rf"\\(lt|gt|lbrace|rbrace|lbrack|rbrack|[lr]?vert){_END}", lambda match: _MARKS.get(match[1], "|")),
    (r"\\l?dots" + _END + r"|\\cdots" + _END + r"|\.\.\.+", r"\\ldots "),
    (rf"\\varnothing{_END}|\\O{_END}", r"\\emptyset "),
    (r"\\mathbb\s*([A-Z])" + _END, r"\\mathbb{\1}"),
    (r"\\mathbb\s*\{\s*([A-Z])\s*\}|\\(?:R)" + _END, lambda match: rf"\mathbb{{{match[1] or 'R'}}}"),
    (r"\\(begin|end)\s*\{[bB](matrix)\}", r"\\\1{p\2}"),
    (r"\\(begin|end)\s*\{small(matrix)\}", r"\\\1{\2}"),
    (
        rf"\s*\^\s*(?:\\(?:circ|degree){_END}|\{{\s*\\(?:circ|degree)\s*\}}|o{_END})|\\degrees?{_END}|\\textdegree{_END}",
        "°",
    ),
    (r"\s*\^\s*\{?\s*((?:\\prime\s*)+)\}?", lambda match: "'" * match[1].count("prime")),
    (r"(?<=\d)\s*\\deg" + _END, "°"),
    (rf"\\(textdollar|pounds|euro){_END}", lambda match: _MARKS[match[1]]),
    (r"\\?%|(?<=[\d.}])\s*(?i:per\s?cent|percentage)\b(?!\s*points?)", "%"),
    (r"(?<![A-Za-z\\])(?:pi|Pi|PI)" + _END, r"\\pi "),
    (r"(?<![A-Za-z\\])(?:infinity|infty|inf|oo)" + _END, r"\\infty "),
    (r"\\?(?<![A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\^\s*\(([^()]*)\)", r"^{\1}"),
)

_WORDS = _rules(
    (r"\s+", " "),
    (r"(?<=\d)\s*([AaPp])\.?\s?[Mm](?![A-Za-z])\.?", lambda half: half[1].lower() + "m"),  # 3:45 P.M.
    (r"^\s*(?:\\approx|=|\+)\s*", ""),
    (r"°\s+(?=[CF](?![A-Za-z]))", "°"),
    (r"(?<![\d/.,:])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d/.])", r"\1\\frac{\2}{\3}"),  # 1 1/2
    (r"(?<![\d/.,A-Za-z{])(\d+)\s*(?:and|&)\s*(\d+)\s*/\s*(\d+)(?![\d/.])$", r"\1 and \\frac{\2}{\3}"),
)

_DOLLAR_SIGN = re.compile(r"\\\$|\$(?=\s*[-+]?\s*\.?\d)")
_THOUSANDS = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:[, ]\d{3})+)(?!\d)")
_NEEDLESS_SPACE = re.compile(
    r"(?<![A-Za-z0-9}°%)'!])\s+(?=\S)|(?<=[}°%)'!])\s+(?![A-Za-z])|(?<=[A-Za-z0-9])\s+(?![A-Za-z0-9$€£¥(])|\s+$"
)
_AFTER_COMMAND = re.compile(r"(\\[A-Za-z]+) (?![A-Za-z])")
_WRAPPERS = (
    ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"),
    ("``", "''"), ('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u300c", "\u300d"),
)  # fmt: skip
_ARGUMENT_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|-?\d+|.", re.DOTALL)


@lru_cache(maxsize=65536)
def canonical(answer: str) -> str:
    """The canonical spelling of `answer` (at most `MAX_CHARS` long); "" when nothing is left of it."""
    if answer.isascii() and answer.isdigit():
        return answer
    text = strip_wrappers(" ".join(clean_unicode(answer).split()))
    text = _apply(_SPACING, text) if "\\" in text or "~" in text or "{,}" in text else text
    text = strip_wrappers(_open_styles(text))
    text = _DOLLAR_SIGN.sub("\x00", text).replace("$", "").replace("\x00", "$")
    text = _apply(_WORDS, _apply(_COMMANDS, text)).strip().rstrip(".,;").strip()
    text = brace_arguments(_join_thousands(text))
    text = _AFTER_COMMAND.sub(r"\1", _NEEDLESS_SPACE.sub("", " ".join(text.split())))
    return _strip_outer_braces(text)


def clean_unicode(text: str) -> str:
    """`text` in plain characters: full-width forms and foreign digits as ASCII, no invisible or control characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _RADICAL.sub(r"\\sqrt{\1}", text)
    text = _RAISED.sub(lambda run: f"^{{{run[0].translate(_RAISED_DIGITS)}}}", text)
    text = _LOWERED.sub(lambda run: f"_{{{run[0].translate(_LOWERED_DIGITS)}}}", text)
    text = unicodedata.normalize("NFKC", text.translate(_UNICODE).replace("℃", "°C"))
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


def _open_styles(text: str) -> str:
    r"""`\textbf{\text{42}}`, `\color{red}{42}` and `\bm x` without their styles; texts stay words of their own."""
    if "\\" not in text:
        return text
    text = _BARE_STYLED.sub(r"\1", _COLOURED.sub("", text))
    for _ in range(MAX_NESTED):
        opened = _STYLED.sub(r" \1 ", text)
        if opened == text:
            break
        text = opened
    return _BRACED.sub("", text)


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
            in_option = token != "]"
        elif token.isspace():
            if wanted[-1]:
                continue
        elif token in {"^", "_"}:
            wanted[-1] = 1
        elif token in {r"\frac", r"\binom", r"\sqrt"}:
            wanted[-1] += 1 if token == r"\sqrt" else 2
        elif token == "[" and out and out[-1] == r"\sqrt":
            in_option = True
        elif token == "{":
            wanted.append(0)
        elif token == "}":
            if len(wanted) > 1:
                wanted.pop()
            wanted[-1] = max(0, wanted[-1] - 1)
        elif wanted[-1]:
            token = _brace_token(token, out, wanted)
        out.append(token)
    return "".join(out)


def _brace_token(token: str, out: list[str], wanted: list[int]) -> str:
    """`token` as the next arguments of what precedes it; digits may fill several arguments at once."""
    if (out and out[-1] in {"^", "_", r"\sqrt"}) or not token.isdigit():
        wanted[-1] -= 1
        return f"{{{token}}}"
    count = min(wanted[-1], len(token))
    wanted[-1] -= count
    return "".join(f"{{{digit}}}" for digit in token[:count]) + token[count:]


def _apply(rules: list[tuple[re.Pattern[str], Replacement]], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def strip_wrappers(text: str) -> str:
    """`text` without the marks around the whole of it: `$...$`, quotes, `**...**`, and without a full stop."""
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
    r"""`1,234\pi` -> `1234\pi`; unchanged where a comma may also separate the parts of a list or a tuple."""
    joined = _THOUSANDS.sub(lambda match: match[1].replace(",", "").replace(" ", ""), text)
    return text if "," in joined or any(bracket in text for bracket in ("(", "[", r"\{")) else joined
