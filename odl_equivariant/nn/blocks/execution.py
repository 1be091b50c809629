# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""How the convolutions of a block are computed: whole or in pieces."""

import torch

from odl_equivariant.nn._convolution import channels_last
from odl_equivariant.nn._precision import check_arithmetic
from odl_equivariant.nn.blocks import derivative, pieces
from odl_equivariant.nn.blocks.network import (
    WholeImage,
    is_exported,
    is_transformed,
    residual_network,
)

__all__ = ('InPieces',)

# Numbers for which a piece is faster than the whole image: its channels are
# last, in which order convolutions are faster, once there is much to convolve.
_LEAST_PIECE = 2**17


class InPieces:
    """Mix-in of blocks whose images can be computed piece by piece."""

    def _network(self, x, kernels):
        dtype = self._compute_dtype(x.device.type)
        if not is_exported():
            check_arithmetic(dtype, x.device)
        side = self._side_of_pieces(x, dtype)
        if side is not None:
            return self._in_pieces(x, kernels, dtype, side)
        return residual_network(
            x, kernels, self.nonlinearities(), WholeImage(self.padding_mode)
        )

    def _side_of_pieces(self, x, dtype):
        """Return the side of pieces that is fastest, None for no pieces."""
        if x.device.type != 'cpu' or is_exported():
            return None
        side = pieces.side_for_cache(self.channels, dtype, self.dimension)
        cells = x.shape[0] * x.shape[2:].numel()
        if cells > side**self.dimension:
            return side
        if is_transformed():
            # transforms of torch know no order of the axes
            return None
        # torch would keep several volumes of all channels
        if torch.is_grad_enabled() and self.dimension == 2:
            return None
        return side if self.channels * cells > _LEAST_PIECE else None

    def recomputes(self, x: torch.Tensor) -> bool:
        """Return whether the block can keep its inputs only, for gradients.

        Then it does so inside ``derivative.recomputing``, with the same bits.

        Parameters
        ----------
        x : torch.Tensor
            Images of the batch.
        """
        if not (
            self._is_plain
            # a hook may keep the result, or change it
            and not self._forward_hooks
            and type(self)._network is InPieces._network
            and x.device.type == 'cpu'
            and derivative.fits(self.nonlinearities())
        ):
            return False
        dtype = self._compute_dtype(x.device.type)
        return self._side_of_pieces(x, dtype) is not None

    def _compute_dtype(self, device):
        """Return the dtype of the convolutions on a kind of device."""
        dtype = self.lift.weight.dtype
        # autocast does not lower double precision
        if (
            dtype != torch.float64
            and torch.amp.is_autocast_available(device)
            and torch.is_autocast_enabled(device)
        ):
            return torch.get_autocast_dtype(device)
        return dtype

    def _in_pieces(self, x, kernels, dtype, side, run=None):
        """Apply the network piece by piece, see `pieces.evaluate`."""
        kernels = [
            (
                weight.to(dtype, memory_format=channels_last(self.dimension)),
                bias.to(dtype),
            )
            for weight, bias in kernels
        ]
        nonlinearities = self.nonlinearities()
        with torch.autocast(x.device.type, enabled=False):
            if run is None and derivative.is_for(x, kernels, nonlinearities):
                return derivative.evaluate(
                    x, kernels, self.padding_mode, nonlinearities, side
                )
            return pieces.evaluate(
                x, kernels, self.padding_mode, nonlinearities, side, run
            )
