"""The comparison with a large network runs, measures MALA rightly, and its stored tables say what the page says."""

from math import pi, sqrt

import numpy as np
import pytest

from benchmarks.beside_others import LINEAR, OTHERS, QUICK, TABLES, main
from benchmarks.drifts import acceptance, agreement, expected_acceptance, zero_mode
from csd.core.random import stream
from csd.lattice import Lattice
from csd.targets.gaussian import GaussianField
from csd.targets.phi4 import PhiFour
from docs.numbers import output

GENERATOR = stream("tests of beside_others")


def test_a_quick_run_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert len(tables) == len(TABLES)
    assert [len(table.splitlines()) for table in tables[2:]] == [2 + 4, 2 + 4, 2 + 6]
    # Ten parameters: nine of the filter and one coefficient.
    assert f"| {QUICK.kappas[0]} | 8 | local_polynomial | 10 |" in tables[0]


def test_agreement_of_known_scores() -> None:
    """s = −2∇H has cosine 1, ratio 2 and error 1; s at a right angle to −∇H has cosine 0, and error 1 + ratio²."""
    force = GENERATOR.standard_normal((6, 4, 4))
    found = agreement(2.0 * force, force)
    assert (found.cosine[0], found.ratio[0], found.error) == pytest.approx((1.0, 2.0, 1.0))
    turned = np.stack([force[..., 1::2], -force[..., ::2]], axis=-1).reshape(force.shape)
    found = agreement(turned, force)
    assert (found.cosine[0], found.ratio[0], found.error) == pytest.approx((0.0, 1.0, 2.0), abs=1e-12)


def test_the_zero_mode_of_a_shifted_force() -> None:
    """s = −∇H − δ φ gives 1 + χ δ, χ = ⟨(Σ φ)²⟩/N of the same fields."""
    fields, force = GENERATOR.standard_normal((2, 6, 4, 4))
    susceptibility = (fields.sum(axis=(1, 2)) ** 2).mean() / 16.0
    assert zero_mode(force - 0.3 * fields, force, fields)[0] == pytest.approx(1.0 + 0.3 * susceptibility)


def test_acceptance_on_a_gaussian_field() -> None:
    """For quadratic H the ratio is exp(h (|∇H(φ)|² − |∇H(φ′)|²)/4), averaged here over other random numbers."""
    field, step = GaussianField(Lattice(2, 4), 0.7), 0.15
    target = PhiFour.of_gaussian(field, 1)
    fields = field.sample(GENERATOR, 4000)
    found, error = acceptance(target, lambda own, t: target.force(own[:, None])[:, 0], fields, step, 1)
    force = target.force(fields[:, None])[:, 0]
    moved = fields + step * force + sqrt(2.0 * step) * GENERATOR.standard_normal(fields.shape)
    there = target.force(moved[:, None])[:, 0]
    chance = np.exp(np.minimum(0.0, 0.25 * step * (force**2 - there**2).sum(axis=(1, 2))))
    # Five standard errors: by chance less than once in a million.
    assert abs(found - chance.mean()) < 5.0 * np.hypot(error, chance.std() / sqrt(len(chance)))
    assert 0.3 < found < 0.95


def test_acceptance_without_drift_is_that_of_metropolis() -> None:
    """s = 0: the chance is min(1, e^{H(φ) − H(φ′)})."""
    target = PhiFour.from_hopping(Lattice(2, 4), 1, 0.2705, 0.022)
    fields, step = GENERATOR.normal(0.0, 0.5, (4000, 4, 4)), 0.01
    found, error = acceptance(target, lambda own, t: np.zeros_like(own), fields, step, 1)
    moved = fields + sqrt(2.0 * step) * GENERATOR.standard_normal(fields.shape)
    chance = np.exp(np.minimum(0.0, target.energy(fields[:, None]) - target.energy(moved[:, None])))
    # Five standard errors: by chance less than once in a million.
    assert abs(found - chance.mean()) < 5.0 * np.hypot(error, chance.std() / sqrt(len(chance)))


@pytest.mark.parametrize("variance", [0.01, 0.3, 4.0])
def test_the_expected_acceptance_is_an_integral(variance: float) -> None:
    """∫ min(1, eˣ) of the normal distribution of variance v and mean −v/2, by a sum over a fine grid."""
    width = sqrt(variance)
    grid = np.linspace(-12.0, 12.0, 200_001)
    weight = np.exp(-0.5 * grid**2) / sqrt(2.0 * pi)
    values = np.exp(np.minimum(0.0, width * grid - 0.5 * variance))
    assert expected_acceptance(variance) == pytest.approx(
        float((weight * values).sum() * (grid[1] - grid[0])), abs=1e-6
    )


def _number(cell: str) -> float:
    return float(cell.partition("(")[0])


def test_small_networks_are_nearer_to_the_action_than_the_large_one() -> None:
    """The main table: cosine, ratio of norms and acceptance, at every size, with at most 2600 parameters."""
    head, *rows = output("beside_others")["main"]
    assert {int(row[1]) for row in rows if row[2] == "Tan et al."} == OTHERS.keys()
    for row in rows:
        size, cosine, ratio, accepted = int(row[1]), *map(_number, row[5:8])
        if row[2] in ("Tan et al.", LINEAR):
            continue
        assert int(row[3]) <= 2600, head
        assert cosine > OTHERS[size][0]
        assert abs(ratio - 1.0) < min(0.01, abs(OTHERS[size][1] - 1.0))
        assert OTHERS[size][2] < accepted <= _number(row[8])


def test_what_the_page_says_about_units_holds() -> None:
    """Expected acceptance, in units in which the largest |ϕ| is 1, beside those that were published and measured."""
    _, *rows = output("beside_others")["unit"]
    for _, _, name, plain, expected, accepted in rows:
        if name == "Tan et al.":
            assert abs(float(expected) - float(accepted)) < 0.07
            assert float(plain) > float(accepted) + 0.1
        if name == LINEAR:
            assert abs(float(expected) - _number(accepted)) < 0.015


def test_what_the_page_says_about_larger_lattices_holds() -> None:
    """δ does not depend on L, so that the zero mode is ever more wrong; fields are right on 32² sites, not on 64²."""
    stored = output("beside_others")
    _, *rows = stored["transfer"]
    for name in {row[0] for row in rows}:
        shifts = [_number(row[6]) for row in rows if row[0] == name]
        assert max(map(abs, shifts)) < 1.5 * min(map(abs, shifts))
        zero_modes = [abs(_number(row[5]) - 1.0) for row in rows if row[0] == name]
        assert zero_modes == sorted(zero_modes)
    values = {(row[0], row[1].split()[-1]): [_number(cell) for cell in row[2:5]] for row in stored["samples"][1:]}
    for size in ("16", "32"):
        assert values[size, "generated"] == pytest.approx(values[size, "chains"], rel=0.04)
    pulls = {row[0]: [abs(float(cell)) for cell in row[2:]] for row in stored["samples"] if row[1] == "difference in σ"}
    assert max(pulls["32"][:3]) < 2.5 < 5.0 < min(pulls["64"])
