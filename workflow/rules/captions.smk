# What stands in the report, and under which heading. Captions are reStructuredText with Jinja, which sees the config.
TITLES = {
    "training": "Figures of training",
    "generation": "Figures of generated fields",
    "integrators": "Figures of integrators",
}


def captioned(figure):
    """A figure in the report, with its caption, workflow/report/figures/FIGURE.rst."""
    return report(
        FIGURES / f"{figure}.png",
        caption=f"../report/figures/{figure}.rst",
        category=TITLES[study_config.summary_of(figure)],
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
