"""Formulas as MathML, which browsers show by themselves: no script, no font, no network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """The page with each formula that `pymdownx.arithmatex` has marked as MathML."""

    def formula(found: re.Match[str]) -> str:
        display = "block" if found.group(1) == "div" else "inline"
        mathml = convert(html.unescape(found.group(2)).strip(), display=display)
        return f'<div class="formula">{mathml}</div>' if display == "block" else mathml

    return _FORMULA.sub(formula, content)
