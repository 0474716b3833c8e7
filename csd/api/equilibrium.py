"""Whether the fields that a training learns are those of their couplings, where Markov chains start from them."""

from typing import TYPE_CHECKING

from csd.targets.base import Target
from csd.targets.dataset import FieldSet, MeasuredField
from csd.training.losses import POSTERIOR
from csd.training.options import TrainingSettings

if TYPE_CHECKING:
    from csd.training.metrics.scored_fields import ScoredFields


def check_equilibrium(target: Target, settings: TrainingSettings, scored: "ScoredFields | None") -> None:
    """Refuse fields that contradict their couplings, where these are used for chains or for exact scores.

    Args:
        target: of the training; fields of unknown couplings are not tested.
        settings: options of the training.
        scored: held-out fields with exact scores, if there are some.

    Raises:
        InputError: if the fields deviate from the Schwinger–Dyson identity of their couplings.
    """
    used = settings.loss == POSTERIOR or settings.chains is not None or scored is not None
    if not used or not isinstance(target, MeasuredField | FieldSet):
        return
    if not (target.hamiltonian if isinstance(target, MeasuredField) else target.known):
        return
    from csd.mcmc.fields import hamiltonian_of
    from csd.mcmc.posterior.identity import check_data

    made, unit = hamiltonian_of(target)
    of_action = "; with kappa these are the fields varphi = phi/sqrt(2 kappa) of the lattice action, not phi"
    check_data(made, target, unit, of_action if "kappa" in getattr(target, "known", ()) else "")
