"""Make mutants of the scripts for PixInsight, by their tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from calmjs.parse.lexers.es5 import Lexer
from mutants import Mutant

SWAPS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "===": "!==", "!==": "===", "==": "!=", "!=": "==",
    "&&": "||", "||": "&&", "+": "-", "-": "+", "*": "/", "/": "*", "!": " ", "++": "--",
    "+=": "-=", "true": "false", "false": "true", "null": "undefined",
}  # fmt: skip

#: Lines that only say something to people.
MESSAGE = re.compile(r"\b(?:Error|progress)\(")


def script_mutants(source: str, module: str) -> Iterator[tuple[Mutant, str]]:
    """Give each mutant of a script with the changed script."""
    lexer = Lexer()
    lexer.input(source)
    count: Counter[tuple[str, str]] = Counter()
    for token in lexer:
        new = _changed(token.type, token.value)
        if new is None:
            continue
        begin = source.rfind("\n", 0, token.lexpos) + 1
        end = source.find("\n", token.lexpos)
        changed = source[: token.lexpos] + new + source[token.lexpos + len(token.value) :]
        was = source[begin:end].strip()
        if MESSAGE.search(was):
            continue
        becomes = changed[begin : end + len(new) - len(token.value)].strip()
        count[was, becomes] += 1
        line = source.count("\n", 0, token.lexpos) + 1
        yield Mutant(module, "", was, becomes, count[was, becomes], line, None), changed


def _changed(kind: str, text: str) -> str | None:
    if kind == "NUMBER":
        return str(int(text) + 1) if text.isdigit() else None
    if kind == "STRING":
        return f"{text[:-1]}XX{text[-1]}" if len(text) > 2 and " " not in text else None
    return SWAPS.get(text)
