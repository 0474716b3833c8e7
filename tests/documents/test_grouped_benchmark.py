"""The benchmark of networks side by side runs, and the loop beside it takes the same steps; no thresholds on times."""

import pytest
import torch

from benchmarks.grouped import ACTIVATIONS, FORMS, Group, PlainLoop, grouped, main


@pytest.mark.parametrize("group", [Group(1, 8, 32, 5, width=4), Group(2, 6, 4, 2, width=4), Group(3, 4, 4, 1, width=3)])
@pytest.mark.parametrize(("padding", "fused"), FORMS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_loop_takes_the_steps_of_csd(group: Group, padding: str, fused: bool, name: str) -> None:
    """Five steps on the same data: the same filters, to the precision of float32 beside steps of 0.001."""
    ours, plain = ACTIVATIONS[name]
    networks, loop, data = grouped(group, ours), PlainLoop(group, plain, padding, fused), group.data()
    before = networks.parameters.clone()
    for _ in range(5):
        networks.advance(*data)
        loop.step(*data)
    assert float((networks.parameters - before).abs().max()) > 0.004
    for network, other in zip(networks.networks, loop.networks, strict=True):
        for filters, weight in zip(network.parameters(), other.parameters(), strict=True):
            wanted = weight.flatten(2).permute(2, 1, 0)
            torch.testing.assert_close(filters, wanted, rtol=0, atol=2e-5)


def test_a_quick_measurement_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Product of large matrices: ")
    assert sum(line.startswith("| 1 | 8 | 32 | 5 |") for line in lines) == len(ACTIVATIONS)
