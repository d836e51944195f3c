r"""Reading a formula: canonical text (see `latex`) as a tree of operations.

Text that is read in two ways, such as `1/2x`, and whatever is not in the grammar (sums, integrals, limits) is not a formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MAX_TOKENS = 600
MAX_DEPTH = 60

FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "ln", "lg", "log", "exp", "cis")},
    **{name: name for name in ("sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc")},
    **{"asin": "arcsin", "acos": "arccos", "atan": "arctan", "tg": "tan", "ctg": "cot", "cosec": "csc"},
    **{"arctg": "arctan", "sgn": "sgn", "sign": "sgn", "abs": "abs", "Re": "Re", "Im": "Im"},
    **{"arsinh": "arcsinh", "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh"},
}
"""Functions of one argument: how they are written, and what they are called here."""

TASKS = ("max", "min", "gcd", "lcm", "floor", "ceil")
"""Functions that are work to be done: a number's gold is not answered by one."""

_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau phi varphi "
    "chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar"
).split()
_NAMES = sorted((*FUNCTIONS, *TASKS, "mod", "sqrt", "pi", "deg"), key=len, reverse=True)
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?)"
    r"|\\(?P<command>[A-Za-z]+)"
    rf"|(?P<name>(?:{'|'.join(_NAMES)}))(?![A-Za-z])"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<mark>\\[{}|]|!!|''|[-+/^_(){}\[\]|!°'%,])|(?P<space>\s+)"
)
_IMPLICIT = frozenset({"number", "letter", "command", "name"})
BRACKETS = {"(": ")", "{": "}", "[": "]"}
BARS = ("|", r"\|")
_RELATED = frozenset({"cdot", "div", "pm", "mp", "rfloor", "rceil", "rangle", "mod", "bmod", "pmod"})


class UnreadableError(Exception):
    """A text that is not a formula, is read in two ways, or is too long for one."""


@dataclass(frozen=True)
class Node:
    """An operation on `args`; leaves are numerals ("number", with `value`) and symbols and constants (with `name`)."""

    kind: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)

    def walk(self) -> list[Node]:
        """This node and all below it."""
        found: list[Node] = [self]
        for node in found:
            found.extend(node.args)
        return found

    def symbols(self) -> set[str]:
        """The names of the variables that occur; a logarithm whose base is not given has one of its own."""
        nodes = self.walk()
        names = {node.name for node in nodes if node.kind == "symbol"}
        return names | ({LOG_BASE} if any(node.name == "log" and len(node.args) == 1 for node in nodes) else set())


LOG_BASE = "the base of log"


class Token(NamedTuple):
    """One piece of a formula's text and what kind of piece it is."""

    kind: str
    text: str


@lru_cache(maxsize=32768)
def read_formula(text: str) -> Node | None:
    """The formula that canonical `text` is; None when it is none or can be read in two ways."""
    try:
        return _Reader(_tokens(text)).read_all()
    except (UnreadableError, RecursionError, ZeroDivisionError, OverflowError, ValueError):
        return None


def number(value: Fraction | int) -> Node:
    """The formula that consists of this number alone."""
    return Node("number", value=Fraction(value))


def quotient(top: Node, bottom: Node, name: str = "") -> Node:
    r"""`top` over `bottom`; `\log a/\log b`, which is the same in every base, in natural logarithms."""
    args = (top, bottom)
    if all(part.name == "log" and len(part.args) == 1 for part in args):
        args = tuple(replace(part, name="ln") for part in args)
    return Node("div", args, name=name)


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) > MAX_TOKENS:
            raise UnreadableError
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, match[kind]))
        position = match.end()
    if not tokens:
        raise UnreadableError
    return tokens


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, Token("end", "")]
        self._position = self._depth = self._bars = 0
        self._was_bracket = False

    def read_all(self) -> Node:
        node = self._read_sum()
        if self._next.kind != "end":
            raise UnreadableError
        return node

    def _read_sum(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableError
        terms = [self._read_signed(self._read_product)]
        while self._is("+", "-"):
            terms.append(self._read_signed(self._read_product))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _read_signed(self, read: Callable[[], Node]) -> Node:
        sign = 1
        while self._is("+", "-"):
            sign = -sign if self._take().text == "-" else sign
        node = read()
        if sign > 0:
            return node
        return number(-node.value) if node.kind == "number" else Node("neg", (node,))

    def _read_product(self) -> Node:
        node, is_divided = self._read_power(), False
        while True:
            if self._accept("cdot"):
                node, is_divided = Node("mul", (node, self._read_signed(self._read_power))), False
            elif self._accept("/", "div"):
                node, is_divided = quotient(node, self._read_signed(self._read_power)), True
            elif self._starts_factor():
                if is_divided:
                    raise UnreadableError  # 1/2x is read in two ways
                node = self._joined(node, self._read_power())
            else:
                return node

    def _joined(self, left: Node, right: Node) -> Node:
        """Two factors side by side: a product, but `6\\frac{1}{6}` is a mixed number."""
        if left.kind == "number" and not self._was_bracket:
            if right.kind == "number":
                raise UnreadableError  # 3 7
            is_fraction = right.name == "frac" and all(part.kind == "number" for part in right.args)
            if is_fraction and left.value.denominator == 1 and left.value >= 0:
                top, bottom = (part.value for part in right.args)
                if 0 < top < bottom:
                    return Node("mixed", (left, right))
        return Node("mul", (left, right), name="implicit")

    def _read_power(self) -> Node:
        node = self._read_postfix()
        return self._with_marks(Node("pow", (node, self._read_argument()))) if self._accept("^") else node

    def _read_postfix(self) -> Node:
        return self._with_marks(self._read_atom())

    def _with_marks(self, node: Node) -> Node:
        """`node` with the factorials, degrees and percent signs behind it."""
        while True:
            if self._is("!", "!!"):
                node = Node("fact" if self._take().text == "!" else "fact2", (node,))
            elif self._accept("°"):
                node = self._read_minutes(node)
            elif self._accept("%"):
                node = Node("div", (node, number(100)), name="percent")
            else:
                return node

    def _read_minutes(self, degrees: Node) -> Node:
        """`30°`, `30°15'` and `30°15'20''` as an angle."""
        for mark, scale in (("'", 60), ("''", 3600)):
            if self._next.kind == "number" and self._tokens[self._position + 1].text == mark:
                part = number(Fraction(self._take().text) / scale)
                self._take()
                degrees = Node("add", (degrees, part), name="degrees")
        return Node("degree", (degrees,))

    def _read_atom(self) -> Node:
        token = self._take()
        self._was_bracket = False
        if token.kind == "number":
            return self._read_numeral(token.text)
        if token.kind == "letter":
            return self._read_letter(token.text)
        if token.kind in {"command", "name"}:
            return self._read_command(token.text)
        if token.text in BRACKETS:
            node = self._read_until(BRACKETS[token.text])
        elif token.text in BARS:
            node = self._read_bars()
        else:
            raise UnreadableError
        self._was_bracket = True
        return node

    def _read_numeral(self, text: str) -> Node:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent and abs(int(exponent)) > 5000:
            raise UnreadableError
        value = Fraction(mantissa) * Fraction(10) ** int(exponent or 0)
        if "." in mantissa and self._accept("overline", "bar", "dot"):
            value += self._read_period(len(mantissa.partition(".")[2]))
        return Node("number", value=value, name="decimal" if "." in text or exponent else "")

    def _read_period(self, places: int) -> Fraction:
        is_braced = self._accept("{")
        digits = self._take().text
        if not digits.isdigit():
            raise UnreadableError
        if is_braced:
            self._expect("}")
        return Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)

    def _read_letter(self, letter: str) -> Node:
        if letter in "ei" and not self._is("_", "'"):
            return Node("constant", name=letter)
        name = letter + self._read_index()
        while self._is("'", "''"):
            name += self._take().text
        start = self._position
        if letter in "fghFGH" and self._accept("("):
            self._read_arguments(")")
        return Node("symbol", name=name + self._text_since(start))

    def _read_index(self) -> str:
        if not self._accept("_"):
            return ""
        start = self._position
        if self._take().text == "{":
            while self._take().text != "}":
                pass
        return "_" + self._text_since(start)

    def _text_since(self, start: int) -> str:
        return "".join(token.text for token in self._tokens[start : self._position])

    def _read_command(self, name: str) -> Node:
        if name in FUNCTIONS:
            return self._read_function(FUNCTIONS[name])
        if name in TASKS:
            self._expect("(", r"\{")
            return Node("task", self._read_arguments(")", r"\}"), name=name)
        if name in {"lfloor", "lceil"}:
            node = self._read_sum()
            self._expect(f"r{name[1:]}")
            return Node("task", (node,), name=name[1:])
        if name == "pi":
            return Node("constant", name="pi")
        if name in {"frac", "binom"}:
            args = (self._read_braced(), self._read_braced())
            return quotient(*args, name="frac") if name == "frac" else Node("binom", args)
        if name == "sqrt":
            degree = self._read_until("]") if self._accept("[") else number(2)
            return Node("root", (self._read_braced() if self._is("{") else self._read_postfix(), degree))
        if name in _GREEK:
            return Node("symbol", name=name.removeprefix("var") + self._read_index())
        raise UnreadableError

    def _read_function(self, name: str) -> Node:
        base = self._read_argument() if name == "log" and self._accept("_") else None
        exponent = self._read_argument() if self._accept("^") else None
        if base is None and name == "log" and self._accept("_"):
            base = self._read_argument()
        if exponent == number(-1):
            if name not in {"sin", "cos", "tan", "cot", "sec", "csc"}:
                raise UnreadableError
            name, exponent = f"arc{name}", None
        is_round, is_bracket = self._is("("), self._is(*BRACKETS, "|")
        read = self._read_postfix if is_round else self._read_power if is_bracket else self._read_factors
        argument = self._read_signed(read)
        if is_round and exponent is None and self._accept("^"):
            exponent = self._read_argument()  # \\sin(x)^2 is the square of \\sin(x)
        node = Node("fn", (argument,) if base is None else (argument, base), name=name)
        return node if exponent is None else Node("pow", (node, exponent))

    def _read_factors(self) -> Node:
        """What a function without brackets takes: the product that follows, up to the next function."""
        node = self._read_power()
        while self._starts_factor() and not self._is("(", *FUNCTIONS, *TASKS):
            node = self._joined(node, self._read_power())
        if self._is("("):
            raise UnreadableError  # \sin 2(x+1) y
        return node

    def _read_bars(self) -> Node:
        self._bars += 1
        node = self._read_sum()
        self._bars -= 1
        self._expect(*BARS)
        return Node("fn", (node,), name="abs")

    def _read_argument(self) -> Node:
        return self._read_braced() if self._is("{") else self._read_signed(self._read_postfix)

    def _read_braced(self) -> Node:
        self._expect("{")
        return self._read_until("}")

    def _read_until(self, closing: str) -> Node:
        bars, self._bars = self._bars, 0
        node = self._read_sum()
        self._expect(closing)
        self._bars = bars
        return node

    def _read_arguments(self, *closing: str) -> tuple[Node, ...]:
        nodes = [self._read_sum()]
        while self._accept(","):
            nodes.append(self._read_sum())
        self._expect(*closing)
        return tuple(nodes)

    def _starts_factor(self) -> bool:
        token = self._next
        if token.kind in _IMPLICIT:
            return token.text not in _RELATED
        return token.text in BRACKETS or (token.text in BARS and self._bars == 0)

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _is(self, *texts: str) -> bool:
        return self._next.text in texts

    def _accept(self, *texts: str) -> bool:
        is_next = self._is(*texts)
        self._position += is_next
        return is_next

    def _expect(self, *texts: str) -> None:
        if not self._accept(*texts):
            raise UnreadableError

    def _take(self) -> Token:
        token = self._next
        if token.kind == "end":
            raise UnreadableError
        self._position += 1
        return token
