"""U-Nets: `unet`, convolutions on lattices of two to four sizes."""

from collections.abc import Mapping
from typing import Any

from csd.core.errors import InputError
from csd.lattice import Lattice
from csd.networks.convolutional import ConvolutionalLayers
from csd.networks.layers import Amplitudes, film_units, pool, unpool
from csd.networks.nonlinear import Scales


class UNet(ConvolutionalLayers):
    """N(x) of a U-Net: on each scale a convolution down, and one up of both the coarser scale and its own result.

    Between scales are means over blocks of 2^d sites, so that the network commutes with translations by 2^(scales − 1)
    sites along an axis.
    """

    scales: Scales = 3

    @classmethod
    def check(cls, lattice: Lattice, **options: Any) -> None:
        """Refuse a lattice that cannot be halved, or whose smallest scale is narrower than a filter.

        Raises:
            InputError: with the sizes that fit.
        """
        super().check(lattice, **options)
        scales, kernel_size = options["scales"], options["kernel_size"]
        block = 2 ** (scales - 1)
        least = block * kernel_size
        if lattice.size % block or lattice.size < least:
            below = lattice.size // block * block
            fit = sorted({max(below, least), max(below + block, least)})
            raise InputError(
                f"size is {lattice.size}; with {scales} scales and kernel_size {kernel_size} it must be a multiple of"
                f" {block} from {least} on, such as {' or '.join(map(str, fit))}"
            )

    @property
    def channels(self) -> dict[str, tuple[int, int]]:
        """Down: n → width → … → width; up: twice the width → width; the last one: width → n."""
        width = self.width
        down = {f"down{scale}": (width if scale else self.inputs, width) for scale in range(self.scales)}
        up = {f"up{scale}": (2 * width, width) for scale in reversed(range(self.scales - 1))}
        return {**down, **up, "last": (width, self.inputs)}

    def body(self, parameters: Mapping[str, Any], fields: Any, noise: Amplitudes) -> Any:
        """Down the scales and up again."""
        import torch

        units, found = film_units(parameters, noise), []
        for scale in range(self.scales):
            fields = self.hidden(parameters, f"down{scale}", pool(fields) if scale else fields, units)
            found.append(fields)
        for scale in reversed(range(self.scales - 1)):
            both = torch.cat([unpool(fields), found[scale]], dim=-1)
            fields = self.hidden(parameters, f"up{scale}", both, units)
        return self.linear(parameters, "last", fields)
