r"""Reading a formula: canonical text (see `latex`) as a tree of operations.

Does: read numerals, letters, `+ - \cdot / ^`, fractions, roots, factorials, binomials, absolute values, floors, degrees
and the named functions, with or without backslash. Does not: evaluate (`evaluation`), or guess: text that is read in two
ways, such as `1/2x`, and whatever is not in the grammar (sums, integrals, limits) is an `UnreadableError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

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

TASKS = {"max": "max", "min": "min", "gcd": "gcd", "lcm": "lcm", "floor": "floor", "ceil": "ceil"}
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
_OPENING = frozenset({"(", "{", "[", "|"})
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
        found: list[Node] = []
        open_nodes: list[Node] = [self]
        while open_nodes:
            node = open_nodes.pop()
            found.append(node)
            open_nodes.extend(node.args)
        return found

    def kinds(self) -> set[str]:
        """The kinds of operation that occur."""
        return {node.kind for node in self.walk()}

    def symbols(self) -> set[str]:
        """The names of the variables that occur; a logarithm whose base is not given has one of its own."""
        names = {node.name for node in self.walk() if node.kind == "symbol"}
        return names | (
            {LOG_BASE} if any(node.name == "log" and len(node.args) == 1 for node in self.walk()) else set()
        )


LOG_BASE = "the base of log"


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    spaced: bool = False


@lru_cache(maxsize=32768)
def read_formula(text: str) -> Node | None:
    """The formula that canonical `text` is; None when it is none or can be read in two ways."""
    try:
        reader = _Reader(_tokens(text))
        node = reader.read_sum()
        reader.expect_end()
    except (UnreadableError, RecursionError, ZeroDivisionError, OverflowError, ValueError):
        return None
    return node


def number(value: Fraction | int) -> Node:
    return Node("number", value=Fraction(value))


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) > MAX_TOKENS:
            raise UnreadableError
        kind = match.lastgroup or ""
        if kind == "space":
            spaced = True
        else:
            tokens.append(Token(kind, match[kind], spaced))
            spaced = False
        position = match.end()
    if not tokens:
        raise UnreadableError
    return tokens


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, Token("end", "")]
        self._position = 0
        self._depth = 0
        self._bars = 0

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise UnreadableError

    def read_sum(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableError
        terms = [self._signed(self._read_sign(), self._read_product())]
        while self._is_mark("+", "-"):
            terms.append(self._signed(self._read_sign(), self._read_product()))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _signed(self, sign: int, node: Node) -> Node:
        if sign > 0:
            return node
        return number(-node.value) if node.kind == "number" else Node("neg", (node,))

    def _read_product(self) -> Node:
        node = self._read_power()
        last = ""
        while True:
            if self._is_command("cdot"):
                self._take()
                last = "cdot"
                node = Node("mul", (node, self._read_factor()))
            elif self._is_mark("/") or self._is_command("div"):
                self._take()
                last = "/"
                node = Node("div", (node, self._read_factor()))
            elif self._starts_factor():
                if last == "/":
                    raise UnreadableError  # 1/2x is read in two ways
                last = ""
                node = self._joined(node, self._read_power())
            else:
                return node

    def _read_factor(self) -> Node:
        return self._signed(self._read_sign(), self._read_power())

    def _joined(self, left: Node, right: Node) -> Node:
        """Two factors side by side: a product, but `6\\frac{1}{6}` is a mixed number."""
        if right.kind == "number" and left.kind == "number" and not self._was_bracket:
            raise UnreadableError  # 3 7
        is_fraction = (
            right.kind == "div" and all(part.kind == "number" for part in right.args) and right.name == "frac"
        )
        if left.kind == "number" and left.value.denominator == 1 and is_fraction and not self._was_bracket:
            top, bottom = (part.value for part in right.args)
            if bottom and 0 < top < bottom and left.value >= 0:
                return Node("mixed", (left, right))
        return Node("mul", (left, right), name="implicit")

    def _read_power(self) -> Node:
        base = self._read_postfix()
        if self._is_mark("^"):
            self._take()
            exponent = self._read_argument()
            return self._more_postfix(Node("pow", (base, exponent)))
        return base

    def _read_postfix(self) -> Node:
        return self._more_postfix(self._read_atom())

    def _more_postfix(self, node: Node) -> Node:
        while True:
            if self._is_mark("!", "!!"):
                node = Node("fact" if self._take().text == "!" else "fact2", (node,))
            elif self._is_mark("°"):
                self._take()
                node = self._read_minutes(node)
            elif self._is_mark("%"):
                self._take()
                node = Node("div", (node, number(100)), name="percent")
            else:
                return node

    def _read_minutes(self, degrees: Node) -> Node:
        """`30°`, `30°15'` and `30°15'20''` as an angle."""
        total = degrees
        for mark, scale in (("'", 60), ("''", 3600)):
            if self._next.kind == "number" and self._peek(1).text == mark:
                part = number(Fraction(self._take().text) / scale)
                self._take()
                total = Node("add", (total, part), name="degrees")
        return Node("degree", (total,))

    def _read_atom(self) -> Node:
        token = self._take()
        self._was_bracket = False
        if token.kind == "number":
            return self._read_numeral(token.text)
        if token.kind == "letter":
            return self._read_letter(token.text)
        if token.kind in {"command", "name"}:
            return self._read_command(token.text)
        if token.text in {"(", "{", "["}:
            node = self._read_until({"(": ")", "{": "}", "[": "]"}[token.text])
            self._was_bracket = True
            return node
        if token.text in {"|", r"\|"}:
            return self._read_bars()
        raise UnreadableError

    _was_bracket = False

    def _read_numeral(self, text: str) -> Node:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent and abs(int(exponent)) > 5000:
            raise UnreadableError
        value = Fraction(mantissa) * Fraction(10) ** int(exponent or 0)
        if self._is_command("overline", "bar", "dot") and "." in mantissa:
            self._take()
            value += self._read_period(len(mantissa.partition(".")[2]))
        return Node("number", value=value, name="decimal" if "." in text or exponent else "")

    def _read_period(self, places: int) -> Fraction:
        is_braced = self._is_mark("{")
        if is_braced:
            self._take()
        digits = self._take()
        if digits.kind != "number" or not digits.text.isdigit():
            raise UnreadableError
        if is_braced and self._take().text != "}":
            raise UnreadableError
        return Fraction(int(digits.text), (10 ** len(digits.text) - 1) * 10**places)

    def _read_letter(self, letter: str) -> Node:
        if letter in "ei" and not self._is_mark("_", "'"):
            return Node("constant", name=letter)
        name = letter + self._read_index()
        while self._is_mark("'", "''"):
            name += self._take().text
        if letter in "fghFGH" and self._is_mark("("):
            start = self._position
            self._take()
            self._read_arguments(")")
            name += "".join(token.text for token in self._tokens[start : self._position])
        return Node("symbol", name=name)

    def _read_index(self) -> str:
        if not self._is_mark("_"):
            return ""
        self._take()
        start = self._position
        if self._is_mark("{"):
            self._take()
            while not self._is_mark("}"):
                if self._take().kind == "end":
                    raise UnreadableError
        self._take()
        return "_" + "".join(token.text for token in self._tokens[start : self._position])

    def _read_command(self, name: str) -> Node:
        if name in FUNCTIONS:
            return self._read_function(FUNCTIONS[name])
        if name in TASKS:
            self._expect("(") if not self._is_mark(r"\{") else self._take()
            return Node("task", self._read_arguments(")", r"\}"), name=name)
        if name in {"lfloor", "lceil"}:
            node = self.read_sum()
            if self._take().text != f"r{name[1:]}":
                raise UnreadableError
            return Node("task", (node,), name=name[1:])
        if name == "pi":
            return Node("constant", name="pi")
        if name == "frac":
            top = self._read_braced()
            return Node("div", (top, self._read_braced()), name="frac")
        if name == "binom":
            top = self._read_braced()
            return Node("binom", (top, self._read_braced()))
        if name == "sqrt":
            return self._read_root()
        if name in {"lvert", "rvert"}:
            return self._read_bars()
        if name in _GREEK:
            return Node("symbol", name=name.removeprefix("var") + self._read_index())
        raise UnreadableError

    def _read_root(self) -> Node:
        degree = number(2)
        if self._is_mark("["):
            self._take()
            degree = self._read_until("]")
        inside = self._read_braced() if self._is_mark("{") else self._read_postfix()
        return Node("root", (inside, degree))

    def _read_function(self, name: str) -> Node:
        base = exponent = None
        if name == "log" and self._is_mark("_"):
            self._take()
            base = self._read_argument()
        if self._is_mark("^"):
            self._take()
            exponent = self._read_argument()
        if base is None and name == "log" and self._is_mark("_"):
            self._take()
            base = self._read_argument()
        if exponent is not None and exponent == number(-1):
            if name not in {"sin", "cos", "tan", "cot", "sec", "csc"}:
                raise UnreadableError
            name, exponent = f"arc{name}", None
        argument = self._read_function_argument()
        node = Node("fn", (argument,) if base is None else (argument, base), name=name)
        return node if exponent is None else Node("pow", (node, exponent))

    def _read_function_argument(self) -> Node:
        """What a function without brackets takes: the product that follows, up to the next function."""
        is_bracket = self._is_mark(*_OPENING)
        sign = self._read_sign()
        node = self._read_power()
        if is_bracket:
            return self._signed(sign, node)
        while self._starts_factor() and not self._starts_function() and not self._is_mark("("):
            node = self._joined(node, self._read_power())
        if self._is_mark("(") and self._next.kind != "end":
            raise UnreadableError  # \sin 2(x+1) y
        return self._signed(sign, node)

    def _read_bars(self) -> Node:
        self._bars += 1
        node = self.read_sum()
        self._bars -= 1
        if self._take().text not in {"|", r"\|", "rvert"}:
            raise UnreadableError
        self._was_bracket = True
        return Node("fn", (node,), name="abs")

    def _read_argument(self) -> Node:
        if self._is_mark("{"):
            return self._read_braced()
        return self._signed(self._read_sign(), self._read_postfix())

    def _read_braced(self) -> Node:
        self._expect("{")
        return self._read_until("}")

    def _read_until(self, closing: str) -> Node:
        bars, self._bars = self._bars, 0
        node = self.read_sum()
        self._expect(closing)
        self._bars = bars
        return node

    def _read_arguments(self, *closing: str) -> tuple[Node, ...]:
        nodes = [self.read_sum()]
        while self._is_mark(","):
            self._take()
            nodes.append(self.read_sum())
        self._expect(*closing)
        return tuple(nodes)

    def _read_sign(self) -> int:
        sign = 1
        while self._is_mark("+", "-"):
            sign = -sign if self._take().text == "-" else sign
        return sign

    def _starts_factor(self) -> bool:
        token = self._next
        if token.kind in _IMPLICIT:
            return token.text not in _RELATED
        return token.text in {"(", "{", "["} or (token.text in {"|", r"\|"} and self._bars == 0)

    def _starts_function(self) -> bool:
        token = self._next
        return token.kind in {"command", "name"} and (token.text in FUNCTIONS or token.text in TASKS)

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _peek(self, ahead: int) -> Token:
        return self._tokens[min(self._position + ahead, len(self._tokens) - 1)]

    def _is_mark(self, *marks: str) -> bool:
        return self._next.kind == "mark" and self._next.text in marks

    def _is_command(self, *names: str) -> bool:
        return self._next.kind == "command" and self._next.text in names

    def _expect(self, *marks: str) -> None:
        if self._take().text not in marks:
            raise UnreadableError

    def _take(self) -> Token:
        token = self._next
        if token.kind == "end":
            raise UnreadableError
        self._position += 1
        return token
