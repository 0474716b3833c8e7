"""Exact scores of held-out fields beside covariance matrices, and the stage that makes them beside its command."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import circulant

from csd.core.errors import InputError
from csd.core.files import SCORES, digest, read
from csd.lattice import Lattice
from csd.study.config.reading import parse
from csd.study.config.study import jobs_of
from csd.targets.gaussian import GaussianField
from csd.targets.noising import NoisedTarget, VariancePreserving
from csd.targets.scores import ScoreSettings, exact_scores
from tests.helpers import Runner


def _noised(size: int = 8, levels: tuple[float, ...] = (0.1, 1.0)) -> NoisedTarget:
    return NoisedTarget(GaussianField.on_critical_line(Lattice(1, size)), VariancePreserving(), levels)


def test_scores_are_those_of_the_covariance_matrix() -> None:
    """s* = −Σ⁻¹x and E|s*|² = tr Σ⁻¹, Σ = α² G(r − r′) + σ² made in real space."""
    noised = _noised()
    content = exact_scores(noised, ScoreSettings(fields=5))
    k = 2.0 * np.sin(np.pi * np.arange(8) / 8)
    correlation = np.fft.ifft(1.0 / (k**2 + noised.target.mass**2)).real
    for level, t in enumerate(noised.levels):
        sigma = np.exp(-2.0 * t) * circulant(correlation) + (1.0 - np.exp(-2.0 * t)) * np.eye(8)
        field = content["field"].values[level, :, 0].astype(float)
        exact = -field @ np.linalg.inv(sigma)
        assert content["score"].values[level, :, 0] == pytest.approx(exact, rel=1e-5, abs=1e-5)
        assert content["squared_score"].values[level] == pytest.approx(np.trace(np.linalg.inv(sigma)) / 8)


def test_fields_have_the_law_that_their_scores_are_of() -> None:
    """Mean square of the score, by sampling; 4 errors, which chance alone exceeds once in 16,000."""
    content = exact_scores(_noised(), ScoreSettings(fields=4000, seed=2))
    squares = (content["score"].values.astype(float) ** 2).mean(axis=(2, 3))
    error = squares.std(axis=1) / np.sqrt(4000)
    assert (np.abs(squares.mean(axis=1) - content["squared_score"].values) < 4.0 * error).all()
    noise = content["field"].values - np.exp(-np.array([0.1, 1.0]))[:, None, None, None] * content["clean"].values
    deviation = np.sqrt(content["noise_variance"].values)[:, None, None, None]
    assert (noise / deviation).std(axis=(1, 2, 3)) == pytest.approx([1.0, 1.0], abs=4.0 / np.sqrt(2.0 * 32000))


def test_a_field_is_the_same_however_many_there_are() -> None:
    """Each has a random stream of its own; other seeds have others."""
    few, many = (exact_scores(_noised(), ScoreSettings(fields=count))["field"].values for count in (3, 7))
    assert np.array_equal(few, many[:, :3])
    assert not np.array_equal(few, exact_scores(_noised(), ScoreSettings(fields=3, seed=1))["field"].values)


def test_a_job_of_the_study_is_its_command(tmp_path: Path, csd: Runner) -> None:
    """The flags of a job give a file with the configuration that the study asks for."""
    sweep = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
    asked = {"dimension": 2, "sizes": [6], "couplings": {"r0": -0.5, "u": 1.0}, "noise_levels": [0.5], "fields": 4}
    study = parse({"study": "s", "figures": [], "sweeps": {"line": sweep}, "scores": {"held": asked}})
    ((name, job),) = jobs_of(study)["scores"].items()
    assert name == "d2_L6_r-0.5u1_vp-t0.5_M4_s1"
    path = tmp_path / f"{name}.nc"
    assert csd(f"scores {shlex.join(job.arguments())} --output {path}").status == 0
    dataset = read(path, SCORES)
    assert dataset.attrs["configuration_hash"] == digest(job.request)
    assert dict(dataset["score"].sizes) == {"noise_level": 1, "sample": 4, "component": 1, "x": 6, "y": 6}


def test_what_cannot_be_held_out_is_refused(csd: Runner, tmp_path: Path) -> None:
    """With the key, and nothing is written."""
    with pytest.raises(InputError, match=r"scores\.held: .*given"):
        parse_jobs = {"dimension": 1, "sizes": [8], "mass": [0.1], "mass_times_length": [1.0]}
        sweep = {"dimension": 1, "sizes": [8], "architectures": ["one_layer"]}
        jobs_of(parse({"study": "s", "figures": [], "sweeps": {"a": sweep}, "scores": {"held": parse_jobs}}))
    ran = csd(f"scores --dimension 1 --size 8 --noise-level 0.1 --fields 0 --output {tmp_path / 'no.nc'}")
    assert ran.status == 2
    assert "fields" in ran.err
    assert not list(tmp_path.iterdir())
