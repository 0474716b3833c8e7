# What stands in the report, and under which heading. Captions are reStructuredText with Jinja, which sees the config.
def captioned(figure):
    """A figure in the report, with its caption, workflow/report/figures/FIGURE.rst."""
    words = {
        "generation": "generated fields",
        "monte_carlo": "Monte Carlo",
        "timing": "Monte Carlo",
    }
    kind = summary_of(figure)
    return report(
        FIGURES / f"{figure}.png",
        caption=f"../report/figures/{figure}.rst",
        category=f"Figures of {words.get(kind, kind)}",
        labels={"figure": figure.replace("_", " ")},
    )


def page(path, category, words):
    """A page in the report, with its caption, workflow/report/pages/PAGE.rst."""
    return report(
        path,
        caption=f"../report/pages/{path.stem}.rst",
        category=category,
        labels={"page": words},
    )
