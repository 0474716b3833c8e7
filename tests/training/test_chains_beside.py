"""Markov chains beside the training: their states have the distribution of the fields, and runs can be continued."""

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd
from csd.core.errors import InputError
from csd.core.random import stream
from csd.core.source import files_used
from csd.lattice import Array, Lattice
from csd.mcmc.chains import run_chains
from csd.mcmc.fields import LearnedChains
from csd.mcmc.samplers import sweep_of
from csd.networks import Architecture
from csd.targets.base import HasEnergy
from csd.targets.dataset import FieldSet, MeasuredField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.phi4 import PhiFour
from csd.targets.spins import SpinModel
from csd.training.batches import ConditionedFields, RawFields
from csd.training.options import TrainingSettings
from csd.training.preparation import prepare

LATTICE = Lattice(2, 4)
TARGETS: dict[str, HasEnergy] = {
    "phi4": PhiFour(LATTICE, 1, -0.8, 0.6),
    "phi4 of two components": PhiFour(LATTICE, 2, -1.0, 1.0),
    "gaussian": PhiFour(LATTICE, 1, 0.4, 0.0),
    "ising": SpinModel(LATTICE, 1, 0.4),
    "heisenberg": SpinModel(LATTICE, 3, 0.8),
}
FEW: dict[str, Any] = {"path": "fields", "loss": "denoising", "batch": 8, "max_steps": 5, "noise_levels": [1.0, 0.1]}


def measured(target: HasEnergy, count: int = 200) -> tuple[MeasuredField, Any]:
    """Decorrelated fields of a target, and its chains of 20,000 measurements."""
    chains = run_chains(target, sweep_of("wolff", target), "beside", chains=4, measurements=5000, thermalisation=200)
    fields, lattice = chains.decorrelated(10, count).reshape(-1, *LATTICE.shape), target.lattice
    power = lattice.gather(lattice.power_spectrum(fields).mean(axis=0), lattice.shells)
    return MeasuredField(lattice, fields, power, "", target.components, target.spec()), chains  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TARGETS)
def test_fields_seen_in_training_have_the_energy_and_susceptibility_of_the_chains(name: str) -> None:
    """H/N and χ within 4 errors, from 40 independent chains of 100 steps; each fails by chance in 1 of 10,000."""
    target = TARGETS[name]
    fields, chains = measured(target)
    beside = LearnedChains(fields, 40, 2, "test", (5,))
    noised = NoisedTarget(fields, VariancePreserving(), [0.5])
    source = RawFields(noised, 40, len(fields.data), "test", (5,), components=target.components)
    source.changing = beside
    found = []
    for _ in range(100):
        noisy, noise, _ = source.draw()
        clean = (noisy - sqrt(noised.variances[0]) * noise)[0, 0] / noised.signals[0]
        states = np.stack([chain.field for chain in beside.chains[0]])
        # Each state is seen once in a minibatch of as many fields as chains.
        assert clean.sum() == pytest.approx(states.sum(), abs=1e-9)
        means = states.mean(axis=(2, 3))
        squares = (means**2).sum(axis=1) * LATTICE.sites / target.components
        found.append([target.energy(states) / LATTICE.sites, squares])  # type: ignore[attr-defined]
    for own, exact in zip(np.mean(found, axis=0), (chains.estimate("energy"), chains.susceptibility()), strict=True):
        error = np.hypot(own.std(ddof=1) / sqrt(len(own)), exact.error)
        assert abs(own.mean() - exact.value) < 4.0 * error


def test_fields_of_the_lattice_action_keep_their_unit() -> None:
    """ϕ = φ/√(2κ): ⟨ϕ²⟩ of the states is that of the fields, within 4 errors; fails by chance in 1 of 10,000."""
    kappa, coupling = 0.2, 0.3
    target = PhiFour.from_hopping(LATTICE, 1, kappa, coupling)
    fields = measured(target, 1000)[0].data / sqrt(2.0 * kappa)
    own = FieldSet.split(LATTICE, fields, known={"kappa": kappa, "lambda": coupling})
    beside = LearnedChains(own, 100, 10, "unit", (1,))
    states = np.concatenate([beside.advance()[0] for _ in range(10)])
    squares = [(values**2).mean(axis=(1, 2)) for values in (fields, states)]
    error = sqrt(sum(values.var() / len(values) for values in squares))
    assert abs(squares[0].mean() - squares[1].mean()) < 4.0 * error


@pytest.mark.parametrize("kind", [RawFields, ConditionedFields])
def test_sources_continue_after_each_of_twenty_interruptions(kind: type[RawFields]) -> None:
    """The same bits as without; also those of a seed alone."""
    fields, _ = measured(TARGETS["phi4 of two components"], 40)
    noised = NoisedTarget(fields, VariancePreserving(), [0.5, 1.0])

    def source(*seeds: int) -> RawFields:
        made = kind(noised, 6, len(fields.data), "test", seeds, augment=True, components=2)
        made.changing = LearnedChains(fields, 5, 1, "test", seeds)
        return made

    whole, alone, kept = source(1, 2, 3), source(2), source(1, 2, 3)
    for step in range(20):
        wanted = whole.draw()
        places = [1] if step >= 10 else [0, 1, 2]
        own = source(*(place + 1 for place in places))
        if step:
            if step == 10:
                kept.keep(np.array([False, True, False]))
            own.resume(kept.snapshot())
        kept = own
        for found, values, single in zip(kept.draw(), wanted, alone.draw(), strict=True):
            np.testing.assert_array_equal(found, values[places])
            np.testing.assert_array_equal(single[0], values[1])


def test_held_out_fields_stay_those_of_the_file() -> None:
    """Chains start from the training fields, spread over them, and do not change the fields of the file."""
    fields, _ = measured(TARGETS["phi4"], 50)
    before, noised = fields.data.copy(), NoisedTarget(fields, VariancePreserving(), [0.5])
    beside = LearnedChains(fields, 8, 1, "test", (0,))
    np.testing.assert_array_equal([chain.field[0] for chain in beside.chains[0]], fields.data[:40:5])
    settings = TrainingSettings("denoising", 8, data_set=50, chains=8, path="fields")
    run = prepare(noised, Architecture("wiener", width=2), settings)
    run.source.changing = beside  # type: ignore[attr-defined]
    for _ in range(3):
        run.descent.advance(*run.source.draw())
    np.testing.assert_array_equal(run.descent.held_out_data(), before[40:])
    np.testing.assert_array_equal(fields.data, before)


def test_files_record_the_chains_and_their_code() -> None:
    """Numbers differ from those without chains; so do the configuration and the modules that count."""
    fields, _ = measured(TARGETS["phi4"], 50)
    runs = [csd.train("wiener", target=fields, width=2, **how, **FEW) for how in ({}, {"chains": 4}, {"chains": 4})]
    assert runs[1].attrs["chains"] == 4
    assert "chains" not in runs[0].attrs
    assert runs[0].attrs["configuration_hash"] != runs[1].attrs["configuration_hash"]
    assert runs[0].attrs["source_hash"] != runs[1].attrs["source_hash"]
    weights: list[Array] = [run["weights"].values for run in runs]
    assert not np.array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[1], weights[2])
    csd.train("one_layer", target=fields, chains=4, **{**FEW, "learning_rate": 0.001, "augment": True})
    assert {Path("mcmc/fields.py"), Path("mcmc/updates/local.py")} <= {
        Path(*file.parts[-len(part.parts) :])
        for file in files_used("train mcmc mcmc/fields")
        for part in (Path("mcmc/fields.py"), Path("mcmc/updates/local.py"))
    }
    assert not any(file.match("mcmc/*.py") for file in files_used("train"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chains": 4}, "chains is 4, but no couplings of the fields are known.*csd mcmc --fields"),
        (
            {"chains": 4, "path": "spectral", "loss": "population"},
            "chains is 4, but path is spectral; it needs path fields",
        ),
        ({"chain_sweeps": 2}, "chain_sweeps is 2, but there are no chains"),
        ({"chains": 0}, "chains is 0; it must be an integer of at least 1"),
    ],
)
def test_chains_that_cannot_run_are_refused(options: dict[str, Any], message: str) -> None:
    fields = stream("plain").standard_normal((40, 6, 6))
    with pytest.raises(InputError, match=message):
        csd.train("wiener", data=fields, **{**FEW, **options})


def test_chains_need_fields_to_start_from() -> None:
    with pytest.raises(InputError, match="chains is 4, but fields are fresh at every step"):
        csd.train("wiener", dimension=2, size=4, chains=4, **FEW)
