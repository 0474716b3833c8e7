# The entries of the report and their headings. Captions are reStructuredText with Jinja, which sees the configuration.
def captioned(figure):
    """A figure of the report, with the caption beside its code."""
    return report(
        FIGURES / f"{figure}.png",
        caption=f"../../csd/report/figures/{figure}.rst",
        category=f"Figures of {summary_of(figure).replace('monte_carlo', 'Monte Carlo')}",
        labels={"figure": figure.replace("_", " ")},
    )


def page(path, category, words):
    """A page of the report, with its caption workflow/report/pages/PAGE.rst."""
    return report(
        path,
        caption=f"../report/pages/{path.stem}.rst",
        category=category,
        labels={"page": words},
    )
