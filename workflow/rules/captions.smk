# The entries of the report and their headings. Captions are reStructuredText with Jinja, which sees the configuration.
def captioned(figure):
    """A figure in the report, with the caption that was written beside it: in the results, where a prefix may lead."""
    results = workflow.modifier.path_modifier.replace_prefix(str(FIGURES), None)
    return report(
        FIGURES / f"{figure}.png",
        caption=str(Path(results, f"{figure}.rst").absolute()),
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
