"""Which steps of the workflow run again after an edit of a module of the package."""

from collections import defaultdict

from csd.core.source import PACKAGE, SOURCES, files_used

AFTER = {
    "study": (
        *("aggregate", "aggregate_generation", "aggregate_mcmc", "aggregate_scores", "aggregate_phases"),
        *("aggregate_hybrids", "timing", "pages"),
    ),
    "train": ("aggregate",),
    "generate": ("aggregate_generation", "aggregate_hybrids"),
    "mcmc": ("aggregate_mcmc",),
    "scores": ("aggregate_scores",),
    "phases": ("aggregate_phases",),
    "aggregate": ("fit", "claims", "figures", "pages", "paper", "explore"),
    "aggregate_generation": ("timing", "fit", "figures", "paper", "explore"),
    "aggregate_mcmc": ("timing", "fit", "figures"),
    "aggregate_scores": ("fit", "figures"),
    "aggregate_phases": ("fit", "figures"),
    "aggregate_hybrids": ("fit", "figures"),
    "timing": ("figures",),
    "fit": ("claims", "figures", "paper"),
    "claims": ("pages", "paper"),
    "integrators": ("fit", "figures"),
}
"""Steps that read the files of a step. Of training, `generate` does too, in sweeps that generate."""
RULES = {"exact_scores": "scores", "phases_by_chains": "phases"}
"""Rules of the workflow of steps that have another name: what their jobs run depends on the target."""
SINGLE = "report/figures/"
"""Each module in this folder draws one figure, but for those that all of them share."""


def and_on(steps: set[str]) -> set[str]:
    """The steps, and those that depend on them."""
    while more := {after for step in steps for after in AFTER.get(step, ())} - steps:
        steps = steps | more
    return steps


def rerun(steps: set[str]) -> set[str]:
    """The steps, and those that depend on them, in a study that generates."""
    return and_on(steps | ({"generate"} if "train" in steps else set()))


def first_steps() -> dict[str, tuple[str, ...]]:
    """The steps that use a file and that no other such step leads to, by the file's path within the package."""
    users = defaultdict(list)
    for step in SOURCES:
        for file in files_used(step):
            own = users[file.relative_to(PACKAGE).as_posix()]
            own += [rule for rule in (RULES.get(step, step),) if rule not in own]

    shared = {file.relative_to(PACKAGE).as_posix() for file in files_used("figures")}
    return {
        file: tuple(step for step in steps if step not in rerun({*steps} - {step}))
        for file, steps in users.items()
        if not file.endswith("__init__.py") and (file in shared or not file.startswith(SINGLE))
    }


def edited_modules() -> list[tuple[tuple[str, ...], str]]:
    """(first steps, the modules whose edit reruns them), modules as Markdown, each after its package."""
    groups: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file, steps in first_steps().items():
        folder, _, name = file.rpartition("/")
        groups[steps][folder].append(name.removesuffix(".py"))
    order = sorted(groups, key=lambda steps: (-len(rerun({*steps})), steps))
    return [
        (
            steps,
            "; ".join(f"`{folder}`: {', '.join(sorted(names))}" for folder, names in sorted(groups[steps].items())),
        )
        for steps in order
    ]
