"""Training that starts from the weights of a training file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import csd
from csd.core.errors import InputError
from csd.core.files import read
from tests.almost_linear import Rest
from tests.helpers import Runner

TARGET: dict[str, Any] = {"dimension": 1, "size": 8, "mass": 0.5, "noise_levels": [0.5, 0.1]}
SPECTRAL: dict[str, Any] = {"loss": "population", "tolerance": 0.0, "max_steps": 10}
FIELDS: dict[str, Any] = {"path": "fields", "loss": "denoising", "batch": 16, "tolerance": 0.0, "max_steps": 10}
NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "one layer": ("one_layer", SPECTRAL),
    "two layers, complex": ("two_layer", {"loss": "denoising", "batch": 256, "tolerance": 0.0, "max_steps": 10}),
    "deep": ("deep_linear", SPECTRAL | {"depth": 3}),
    "local": ("local_two_layer", SPECTRAL | {"range": 2, "channels": 3}),
    "local, by autograd": ("local_one_layer", FIELDS | {"range": 2}),
    "adam": ("two_layer", SPECTRAL | {"optimizer": "adam"}),
    "multiscale": ("multiscale", SPECTRAL | {"channels": 2}),
    "on-site": ("one_layer_onsite", FIELDS | {"width": 2}),
    "convolutional": ("convolutional", FIELDS | {"width": 4}),
    "conditioned": ("convolutional", FIELDS | {"width": 4, "conditioned": True}),
    "user-defined": (Rest, FIELDS),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_it_starts_where_the_other_ended(case: str) -> None:
    """For each seed and level: the error at step 0 is that after the last step of the file; theory says nothing."""
    network, how = NETWORKS[case]
    before = csd.train(network, seeds=[3, 1], **TARGET, **how)
    after = csd.train(network, seeds=[1], initial=before, **TARGET, **how)
    found, expected = after["score_error"].values[0, :, 0], before["score_error"].sel(seed=1).values[:, -1]
    # Files keep layers as wide as the lattice, trained on random fields, to 15 bits.
    np.testing.assert_allclose(found, expected, rtol=1e-4 if case == "two layers, complex" else 1e-6)
    assert np.isnan(after["predicted_score_error"]).all()


def test_the_weights_are_part_of_the_request(csd: Runner, tmp_path: Path) -> None:
    """The same command after another training of the file is another request; without a file it is as before."""
    train = "train --architecture one_layer --dimension 1 --size 8 --noise-level 0.5 --loss population --tolerance 0"
    for steps in (5, 6):
        csd(f"{train} --max-steps {steps} --output {tmp_path / 'before.nc'}")
        csd(f"{train} --max-steps 3 --initial {tmp_path / 'before.nc'} --output {tmp_path / f'after{steps}.nc'}")
    csd(f"{train} --max-steps 3 --output {tmp_path / 'own.nc'}")
    about = [read(tmp_path / name).attrs for name in ("after5.nc", "after6.nc", "own.nc")]
    assert len({own["configuration_hash"] for own in about}) == 3
    assert len({own["source_hash"] for own in about[:2]}) == 1
    assert about[0]["initial"] != about[1]["initial"]
    assert about[0]["initial_file"] == str(tmp_path / "before.nc")
    assert "initial" not in about[2]
    same = csd(f"{train} --initial {tmp_path / 'own.nc'} --output {tmp_path / 'own.nc'}")
    assert "--initial and --output name the same file" in same.err


def test_one_seed_is_the_start_of_all() -> None:
    network, how = NETWORKS["convolutional"]
    before = csd.train(network, seeds=[7], **TARGET, **how)
    after = csd.train(network, seeds=[1, 2], initial=before, **TARGET, **how)
    for seed in (1, 2):
        np.testing.assert_allclose(
            after["score_error"].sel(seed=seed)[:, 0], before["score_error"].values[0, :, -1], rtol=1e-6
        )


@pytest.mark.parametrize("case", ["local", "convolutional", "conditioned"])
def test_weights_that_do_not_depend_on_the_lattice_fit_another_one(case: str) -> None:
    """And those of a conditioned network other levels."""
    network, how = NETWORKS[case]
    before = csd.train(network, seeds=[1], **TARGET, **how)
    levels = [0.3, 0.2] if case == "conditioned" else TARGET["noise_levels"]
    after = csd.train(network, initial=before, seeds=[1], **TARGET | {"size": 12, "noise_levels": levels} | how)
    own = csd.train(network, seeds=[1], **TARGET | {"size": 12, "noise_levels": levels} | how)
    assert (after["score_error"][..., 0].values < own["score_error"][..., 0].values).all()


@pytest.mark.parametrize(
    ("case", "changed", "message"),
    [
        ("convolutional", {"width": 5}, "initial has width 4, but the training has 5"),
        ("convolutional", {"symmetry": "none"}, "initial has symmetry odd, but the training has none"),
        ("convolutional", {"noise_levels": [0.5, 0.2]}, "initial has no network at noise level 0.2; .* at 0.5, 0.1"),
        ("convolutional", {"seeds": [1, 2]}, "initial has no seed 2; take seeds of the file"),
        ("convolutional", {"conditioned": True}, "one for each noise level, but conditioned is given"),
        ("conditioned", {"conditioned": False}, "one for all noise levels, but conditioned is not given"),
        ("convolutional", {"schedule": "ve"}, "initial has schedule .*VariancePreserving, .*VarianceExploding"),
        ("convolutional", {"dimension": 2}, "initial has dimension 1, but the training has 2"),
        ("one layer", {"size": 12}, r"initial has filters of shape \(1, 8\), but the network needs \(1, 12\)"),
        ("on-site", {"size": 12}, r"initial has filter of shape \(8,\), but the network needs \(12,\)"),
    ],
)
def test_what_does_not_fit(case: str, changed: dict[str, Any], message: str) -> None:
    network, how = NETWORKS[case]
    before = csd.train(network, **TARGET | {"seeds": [1, 3]} | how)
    with pytest.raises(InputError, match=message):
        csd.train(network, initial=before, **TARGET | {"seeds": [1]} | how | changed)


def test_what_is_no_training(tmp_path: Path) -> None:
    network, how = NETWORKS["one layer"]
    before = csd.train(network, **TARGET, **how)
    for given, message in (
        (3, "initial is int"),
        (csd.generate(before, samples=2), "initial is a generation Dataset"),
        (tmp_path / "none.nc", "none.nc"),
        (csd.train("two_layer", **TARGET, **SPECTRAL), "initial has architecture two_layer, but .* one_layer"),
        (before.drop_vars("weights"), "holds no weights"),
    ):
        with pytest.raises(InputError, match=message):
            csd.train(network, initial=given, **TARGET, **how)


def test_a_study_refuses_it(csd: Runner, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    sweep = "line: {dimension: 1, sizes: [8], architectures: [one_layer]}"
    study.write_text(f"study: s\ntraining: {{initial: before.nc}}\nsweeps:\n  {sweep}\n")
    assert (
        "training: initial is given, but a study trains each network from its own start" in csd(f"validate {study}").err
    )
