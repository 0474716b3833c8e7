"""Formulas as MathML, which browsers show by themselves: no script, no font, no network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

# Spaces as TeX sets them: none around a fraction's stroke or after a sign that is no difference, one after a logarithm.
_SPACES = (
    (re.compile("<mo>&#x0002F;</mo>"), '<mo lspace="0" rspace="0">&#x0002F;</mo>'),
    (
        re.compile(r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0005B;|&#x02243;|,)</mo>)<mo>&#x02212;</mo>"),
        r'\1<mo form="prefix">&#x02212;</mo>',
    ),
    (re.compile(r"<mi>ln</mi>(?=<m(?:i|n|frac|sub)>)"), '<mi>ln</mi><mspace width="0.167em" />'),
)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>(?P<mark>[.,;:)]?)', re.DOTALL)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """The page with each formula that `pymdownx.arithmatex` has marked as MathML; unknown commands end the build."""

    def formula(found: re.Match[str]) -> str:
        display = "block" if found.group(1) == "div" else "inline"
        latex = html.unescape(found.group(2)).strip()
        mathml = convert(latex, display=display)
        if "\\" in mathml:
            raise PluginError(f"{page.file.src_uri}: a command that has no MathML in {latex!r}")
        for wide, right in _SPACES:
            mathml = wide.sub(right, mathml)
        if display == "block":
            return f'<div class="formula">{mathml}</div>{found["mark"]}'
        # A word joiner: no line starts with the mark that follows a formula.
        return mathml + (f"&#8288;{found['mark']}" if found["mark"] else "")

    return _FORMULA.sub(formula, content)
