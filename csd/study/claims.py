"""Claims: statements about a study, and the ranges in which measured numbers support them.

A claim is a list of tests. A test picks groups of runs and a measure, and gives the range that its value must lie in:

    log               z of the nested law fitted to τ(L), within ±0.1
    power             the same z, in a range about another power
    constant          slope of ln τ in ln L, within ±0.1
    power_log         exponent of τ / ln L
    exponent          exponent of the power law
    exact_exponent    exponent of the power law less an exact one of the same sizes
    evidence          ΔAICc in favour of the log law, which counts from 10
    time_ratio        τ over that of a reference architecture, at the largest size that both have
    parameter_ratio   parameters over those of a reference architecture, likewise
    agreement         largest |τ / τ_predicted − 1| over sizes
    value             the value itself, at each size, or at those of `sizes`

A test is about runs at the default target, noise and options of training, unless it names others (`momentum: 0.9`) or
the label `data` of the runs, which says all of them. Times are means over seeds, interpolated between steps.
`csd.study.verdicts` judges them.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from csd.core.errors import InputError, check_distinct, nearest
from csd.diffusion.criteria import CRITERIA
from csd.study.config.reading import load
from csd.study.config.schema import Dimension, Part, Positive, Several, Size, number, validated, with_options
from csd.study.summaries.columns import HOW
from csd.study.summaries.observables import OBSERVABLES
from csd.targets.labels import HASH, target_label

if TYPE_CHECKING:
    import pandas as pd

COUNTS = 10.0
"""ΔAICc from which it counts as evidence, for or against."""
PULLS = 3.0
"""Errors within which an exponent agrees with an exact one."""
PRECISE = 0.1
"""Largest error of an exponent that is compared with an exact one."""
FITTED = {
    "log": "boxcox",
    "power": "boxcox",
    "constant": "power",
    "power_log": "power_log",
    "exponent": "power",
    "exact_exponent": "power",
    "evidence": "power",
    "value": "value",
}
"""Measures of fitted laws, or of values, and the law whose row of the table holds the value."""
PHASES = (
    *("information_residual", "markov_deviation", "sde_share", "ode_share"),
    *("path_kl_per_box", "window_ratio", "bits_per_box", "ordered_residual", "box_level_growth"),
    *("undecided_fraction", "positive_fraction_deviation"),
)
"""Quantities of phases of data (`csd.study.summaries.phases`)."""
VALUES: dict[str, tuple[str, ...]] = {"linear_score_error": ("value", "constant", "exponent")}
VALUES |= dict.fromkeys(
    ("linear_zero_mode_error", "observable_training_time", "zero_mode_training_time"), VALUES["linear_score_error"]
)
VALUES |= dict.fromkeys(("observable_deviation", "floor_ratio", *PHASES), ("value",))
"""Quantities with a value at each size, and the measures that they have."""
ACCEPTED: dict[str, list[float | None]] = {
    "log": [-0.1, 0.1],
    "constant": [-0.1, 0.1],
    "evidence": [COUNTS, None],
    "exact_exponent": [-PULLS * PRECISE, PULLS * PRECISE],
}
"""Default ranges of measures."""
RATIOS = ("time_ratio", "parameter_ratio")
"""Measures that compare with a reference architecture."""
TIMES = tuple(name for name in (*FITTED, *RATIOS, "agreement") if name != "value")
"""Measures of times."""
WITH_CRITERION = {
    **dict.fromkeys(("generation_training_time", "integrator_steps"), CRITERIA),
    **dict.fromkeys(("observable_deviation", "observable_training_time"), OBSERVABLES),
}
"""Quantities that depend on a criterion of samples or on an observable of them, and which there are."""
Bound = Annotated[float, BeforeValidator(number)]
Name = Annotated[str, Field(min_length=1)]


@with_options(HOW, several=True)
class ClaimTest(Part):
    """One number, or one a group, that must lie in a range."""

    measure: Literal[(*FITTED, *RATIOS, "agreement")]  # type: ignore[valid-type]
    architecture: Name
    reference: Name | None = None
    dimensions: Several[Dimension]
    noise_levels: Several[Positive] | None = None
    because: Name | None = None
    sizes: Several[Size] | None = None
    quantity: Literal[  # type: ignore[valid-type]
        "training_time",
        "zero_mode_training_time",
        "settled_time",
        "slowest_training_time",
        "generation_training_time",
        "autocorrelation_time",
        "autocorrelation_updates",
        "integrator_steps",
        "linear_score_error",
        "linear_zero_mode_error",
        "observable_deviation",
        "observable_training_time",
        "floor_ratio",
        *PHASES,
    ] = "training_time"
    criterion: str = ""
    mass: Annotated[str, Field(default_factory=lambda: target_label(mass_times_length=1.0))]
    data: str | None = None
    accepted: Annotated[list[Bound | None], Field([None, None], min_length=2, max_length=2)]

    @model_validator(mode="before")
    @classmethod
    def _usual_range(cls, content: Any) -> Any:
        """Fill in the default range of a measure."""
        if not isinstance(content, dict):
            return content
        if content.get("measure") == "exact_exponent" and "accepted" in content:
            raise ValueError("measure exact_exponent takes no accepted range: its error decides")
        usual = ACCEPTED.get(str(content.get("measure")))
        return content if usual is None else {"accepted": usual} | content

    @model_validator(mode="after")
    def _complete(self) -> "ClaimTest":
        """A range needs a bound, a ratio a reference, a choice of noise levels a reason."""
        low, high = self.accepted
        if low is None and high is None:
            raise ValueError("accepted is [null, null]; at least one bound is needed")
        # Written so that NaN is refused.
        if not (-np.inf if low is None else low) <= (np.inf if high is None else high):
            raise ValueError(f"accepted is {self.accepted}; it must be [lowest, highest], with null for no bound")
        if (self.measure in RATIOS) != (self.reference is not None):
            needs = "needs a" if self.reference is None else "takes no"
            raise ValueError(f"measure {self.measure} {needs} reference architecture")
        if self.measure not in FITTED and self.quantity != "training_time":
            raise ValueError(f"measure {self.measure} is of training_time; quantity is {self.quantity}")
        if self.measure not in (measures := VALUES.get(self.quantity, TIMES)):
            raise ValueError(
                f"measure is {self.measure}; quantity {self.quantity} has the measures {', '.join(measures)}"
            )
        if self.sizes is not None and self.measure != "value":
            raise ValueError(f"sizes are given; measure {self.measure} takes none, as it is of all sizes together")
        known = WITH_CRITERION.get(self.quantity, ())
        if self.criterion and known and self.criterion not in known:
            near = nearest(self.criterion, known)
            raise ValueError(f"criterion is {self.criterion!r}{near} (known: {', '.join(known)})")
        if bool(known) != bool(self.criterion):
            needs = "has none" if self.criterion else f"needs one of {', '.join(known)}"
            raise ValueError(f"criterion is {self.criterion!r}; quantity {self.quantity} {needs}")
        check_distinct("dimension", self.dimensions)
        check_distinct("noise level", self.noise_levels or [None])
        check_distinct("size", self.sizes or [None])
        if (self.noise_levels is None) != (self.because is None):
            raise ValueError("noise_levels and because belong together: all levels are tested, or some for a reason")
        return self

    def is_about(self, masses: "pd.Series[str]") -> Any:
        """Whether runs have its mass, by their labels; the label of a data set may be named without its hash."""
        return (masses == self.mass) | (masses.astype(str).str.replace(HASH, "", regex=True) == self.mass)

    @property
    def options(self) -> dict[str, list[Any]]:
        """The values of the options `HOW` that it names."""
        return {name: getattr(self, name) for name in HOW if name in self.model_fields_set and getattr(self, name)}


class Claim(Part):
    """A statement and its tests.

    Attributes:
        id: its name.
        statement: what is claimed.
        tests: all of them must hold.
        about: 'training', about which runs with the population loss decide nothing, or 'theory'.
        requires: ids of claims that this one presupposes.
    """

    id: Name
    statement: Name
    tests: Several[ClaimTest]
    about: Literal["training", "theory"] = "training"
    requires: Annotated[list[str], Field([])]


def load_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file.

    Raises:
        InputError: if it cannot be read or is malformed.
    """
    return parse_claims(load(path, "a claims file is a mapping with the key claims"), str(path))


def parse_claims(content: Mapping[str, Any], file: str) -> list[Claim]:
    """The claims of a file.

    Args:
        content: as YAML has it.
        file: its name, for errors.

    Raises:
        InputError: one sentence for the first thing that is wrong, with the claim's id and the number of the test.
    """
    if not isinstance(items := content.get("claims"), list):
        raise InputError(f"{file}: a claims file is a mapping with the key claims, which holds a list of claims")
    claims = [_claim(item, file, number) for number, item in enumerate(items, 1)]
    for place, claim in enumerate(claims):
        before = [other.id for other in claims[:place]]
        if claim.id in before:
            raise InputError(f"{file}: claim {claim.id} is there twice; every claim needs an id of its own")
        check_required(claim, before, f"{file}: ")
    return claims


def _claim(item: Any, file: str, number: int) -> Claim:
    """One claim of a file; each test is checked by itself, so that an error names it."""
    place = f"{file}: claim number {number}"
    if not isinstance(item, dict):
        raise InputError(f"{place} is {item!r}; it must be a mapping with id, statement and tests")
    if isinstance(item.get("id"), str):
        place = f"{file}: claim {item['id']}"
    tests = item.get("tests")
    for count, test in enumerate(tests if isinstance(tests, list) else [], 1):
        if not isinstance(test, dict):
            raise InputError(f"{place}, test {count} is {test!r}; it must be a mapping of keys to values")
        validated(ClaimTest, test, f"{place}, test {count}: ")
    return validated(Claim, item, f"{place}: ")


def check_required(claim: Claim, before: Collection[str], prefix: str = "") -> None:
    """Refuse a claim that requires one that does not come before it."""
    if absent := [name for name in claim.requires if name not in before]:
        raise InputError(f"{prefix}claim {claim.id} requires {absent[0]}, which does not come before it")
