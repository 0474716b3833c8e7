"""Formulas as MathML, which browsers show by themselves: no script, no font, no network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

# What browsers would set wider than TeX does: a fraction's stroke, and a sign that is no difference.
_STROKE = "<mo>&#x0002F;</mo>", '<mo lspace="0" rspace="0">&#x0002F;</mo>'
_SIGN = re.compile(r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0005B;|&#x02243;|,)</mo>)<mo>&#x02212;</mo>")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """The page with each formula that `pymdownx.arithmatex` has marked as MathML; unknown commands end the build."""

    def formula(found: re.Match[str]) -> str:
        display = "block" if found.group(1) == "div" else "inline"
        latex = html.unescape(found.group(2)).strip()
        mathml = convert(latex, display=display)
        if "\\" in mathml:
            raise PluginError(f"{page.file.src_uri}: a command that has no MathML in {latex!r}")
        mathml = _SIGN.sub(r'\1<mo form="prefix">&#x02212;</mo>', mathml.replace(*_STROKE))
        return f'<div class="formula">{mathml}</div>' if display == "block" else mathml

    return _FORMULA.sub(formula, content)
