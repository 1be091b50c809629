# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Learned proximals: one equivariant by design, one ordinary."""

from typing import Any

from odl_equivariant._checks import boolean, whole_number
from odl_equivariant.nn.blocks.base import Proximal
from odl_equivariant.nn.blocks.inputs import (
    advice_of_dimension,
    check_cells,
)
from odl_equivariant.nn.steerable import layout
from odl_equivariant.nn.steerable.activations import (
    MODULUS,
    checked_description,
    n_inputs_of,
)
from odl_equivariant.nn.steerable.complex_linear import (
    ComplexLinearConvolution,
)
from odl_equivariant.nn.steerable.convolutions import PaddedConvolution
from odl_equivariant.nn.steerable.groups import INFINITE
from odl_equivariant.nn.steerable.mixed import MixedConvolution
from odl_equivariant.nn.steerable.orbits import (
    checked_kind,
    steerable_convolution,
)
from odl_equivariant.nn.steerable.space import n_elements

__all__ = ('EquivariantProximal', 'OrdinaryProximal')


class EquivariantProximal(Proximal):
    r"""Learned proximal that is equivariant under roto-translations.

    Equivariance under turns holds for whole images, and under shifts away
    from the boundary, see the notes.

    Parameters
    ----------
    in_channels : int, optional
        Channels of an image: 1 if real, 2 if complex; twice as many for a
        vector field, and n times as many for n of them.
    channels : int, optional
        Width of the network, without the channels of gates. It is a multiple
        of the channels of a field. These are as many as a finite group has
        elements, :math:`2 F + 1` for ``'SO2'`` and :math:`2 (2 F + 1)` for
        ``'O2'``, with F = ``max_frequency``. With ``phase`` they are twice as
        many.
    group : str, optional
        ``'C<N>'``, the rotations by multiples of :math:`2 \pi / N`,
        ``'D<N>'``, the same with reflections, ``'SO2'``, all rotations, or
        ``'O2'``, the same with reflections. A network for volumes has a group
        of the space, see the notes: ``'O'`` or ``'Oh'``, or one about an
        ``axis``.
    memory : int, optional
        Number of memory channels; 0 for none. With ``phase`` they are real
        and imaginary parts in turn.
    gradient : bool, optional
        Whether the gradient of the data fit is a separate input, as in
        the learned proximal gradient method. ``False`` for a denoiser.
    noise_level : bool, optional
        Whether the noise level ``sigma`` is an additional input channel. With
        ``phase`` it is the unit of all inputs instead, see the notes.
    n_residual_blocks : int, optional
        Number of residual blocks. Each one starts as the identity.
    skip : bool, optional
        Whether the output is added to ``x - gradient``, or to ``x`` without a
        gradient.
    kernel_size : int, optional
        Odd side of the kernels in cells.
    padding_mode : {'replicate', 'zeros', 'reflect', 'circular'}, optional
        How an image continues past its boundary.
    negative_slope : float, optional
        Slope of the LeakyReLU for negative values; with ``phase``, the factor
        of moduli far below the threshold.
    representation : {'trivial', 'standard'}, optional
        How the values of an image turn: ``'trivial'``, not at all, or
        ``'standard'`` (also called ``'vector'``), with the plane, for vector
        fields. Components are in the order of the axes, as in ``space ** 2``:
        all channels of the first component, then all of the second.
    nonlinearity : str, optional
        For finite groups ``'pointwise'``, a LeakyReLU of each channel, or,
        with ``phase``, ``'modulus'``, which shrinks small moduli. For
        infinite ones one of three. ``'fourier'`` (default) is a LeakyReLU of
        samples on the group, exact for turns by whole samples. ``'norm'`` is
        :math:`x\, \mathrm{ReLU}(|x| + b) / |x|` of each irreducible part; it
        jumps at zero if training makes b positive. ``'gated'`` is each part
        times a sigmoid. The last two are exact for all turns.
    max_frequency : int, optional
        Largest frequency F of the hidden fields of an infinite group.
        Default: 1.
    n_samples : int, optional
        Number of rotations that ``'fourier'`` samples, a multiple of 4. The
        more samples, the smaller the error for other turns. Default:
        4 (F + 1).
    restrict_to : str, optional
        Subgroup to which the network is restricted with depth. All layers
        after ``restrict_after`` residual blocks, and therefore the whole
        network, are equivariant under this subgroup only. In space, a group
        about an axis ends with its letter: ``'C4z'`` is that about axis 2.
    restrict_after : int, optional
        Number of residual blocks before the restriction. Default: all, so
        that only the last convolution is less symmetric.
    basis : {'escnn', 'grid', 'mixed', 'fourier'}, optional
        Which kernels there are: escnn's, which are smooth, sampled and
        limited in their bands; all that are equivariant on the grid, for the
        groups C1, C2, C4, D1, D2 and D4, whose elements map pixels to pixels;
        all of these, as escnn's, with which the network starts, and the
        others, which start at zero; or, for all finite groups, turned Fourier
        series, see the notes. Default: ``'escnn'`` in the plane; in space
        there is ``'grid'`` alone.
    phase : bool, optional
        Whether the network commutes with phases of complex images too, for a
        finite group. Images, gradients and memory are multiplied by the same
        number :math:`e^{i \varphi}`. It takes an even number of
        ``in_channels``, 4 or a multiple with ``representation='standard'``,
        and of ``memory``.
    homogeneous : bool, optional
        Whether the network is homogeneous, see the notes: it has no biases.
        It then works on images in any unit whose zero is that of the
        training. Not with ``nonlinearity`` ``'norm'`` or ``'gated'``.
    shift_equivariant : bool, optional
        Whether a number added to all values of the images is added to the
        output, see the notes. For finite groups, scalar values, and all
        ``padding_mode`` but ``'zeros'``. The hidden fields are even in
        number, and their non-linearity is sort pooling, without
        ``negative_slope``.
    axis : {0, 1, 2}, optional
        For volumes, the axis of a group about one, as in
        `odl_equivariant.actions.group_actions`.

    Raises
    ------
    ValueError
        If the group is unknown, ``channels`` is no multiple of the channels
        of a field, or of two with ``shift_equivariant``, or another argument
        is out of its range or does not fit the group.
    TypeError
        If a number or a bool is none.

    Notes
    -----
    The network is a convolution, a LeakyReLU, residual blocks
    :math:`x + \mathrm{LeakyReLU}(k * x)` and a convolution, all of them
    steerable. The hidden channels are regular fields, band-limited for an
    infinite group. The image (unless it is a vector field) and the memory are
    trivial fields. Hence

    .. math::
        \Phi(g \cdot u, g \cdot v, g \cdot s) = g \cdot \Phi(u, v, s)

    for every rotation and reflection of the group that maps the grid to
    itself, up to rounding. At other angles there is a discretisation error.

    Under *translations* by whole cells it is equivariant in the interior
    only: at a distance from the boundary of at least ``kernel_size // 2``
    cells for each of the ``n_residual_blocks + 2`` convolutions. Closer to
    the boundary, the result depends on how the image is padded, and the
    error is of the order of the variation of the result there. With
    ``padding_mode='circular'`` the image is periodic, and all shifts by whole
    cells are exact everywhere.

    With ``phase=True`` all kernels are complex, and the hidden channels are
    complex regular fields. With one learned threshold :math:`\beta` for each
    field and :math:`\lambda` for ``negative_slope``, the non-linearity is

    .. math::
        z \mapsto \frac{|z|^2 + \lambda \beta^2}{|z|^2 + \beta^2}\, z .

    It is smooth, and there are no biases. Hence also

    .. math::
        \Phi(e^{i \varphi} u, e^{i \varphi} v, e^{i \varphi} s)
        = e^{i \varphi}\, \Phi(u, v, s)

    at all phases, up to rounding. A noise level has no phase and cannot be a
    channel. It is the unit of all thresholds: these are
    :math:`\beta \sigma` or, which is the same, inputs are divided and outputs
    multiplied by :math:`\sigma`. So then

    .. math::
        \Phi(c u, c v, c s; |c| \sigma) = c\, \Phi(u, v, s; \sigma)
        \quad \text{for all complex } c \ne 0 .

    *Values.* With ``homogeneous=True``, for every :math:`a > 0`,

    .. math::
        \Phi(a u, a v, a s; a \sigma) = a\, \Phi(u, v, s; \sigma),

    up to rounding, and bit by bit if a is a power of two. With
    ``shift_equivariant=True``, for every number b,

    .. math::
        \Phi(u + b, v, s; \sigma) = \Phi(u, v, s; \sigma) + (b, 0),

    up to rounding errors of b: gradient, memory and noise level do not
    change. With both, the network is normalization-equivariant as in
    [HMK2023]_, :math:`\Phi(a u + b; a \sigma) = a\, \Phi(u; \sigma) + b`.
    Here the kernels sum to one over the inputs that shift, those of the
    residual blocks to zero, and the non-linearity is the maximum and the
    minimum of pairs of fields. Also, the mean of each image is subtracted
    before and added after, which changes rounding errors only.

    *Volumes.* The groups of the space are those of
    `odl_equivariant.actions.group_actions` that map cells to cells: ``'O'``,
    the 24 rotations of the cube, ``'Oh'``, with all 48 symmetries, ``'T'``,
    ``'Td'`` and ``'Th'``, which have fewer, and for volumes whose third axis
    differs ``'C<N>'``, ``'D<N>'``, ``'C<N>h'`` and ``'D<N>h'`` with N = 1, 2
    or 4 about an ``axis``. The law above then holds for all elements of the
    group up to rounding, for any shape of the volumes. A vector field has
    three components.

    *Fourier series.* With ``basis='fourier'`` the filters are those of
    [XZXM2023]_, with which [FXMX2024]_ made proximals: with kernels of p x p
    cells, x in cells, and a mask :math:`\Omega` that vanishes for
    :math:`|x| \ge (p + 1) / 2`,

    .. math::
        \varphi(x) = \Omega(x) \sum_{|\kappa_i| < p / 2}
        a_\kappa \cos\Big(\frac{2 \pi}{p}\, \kappa \cdot x\Big)
        + b_\kappa \sin\Big(\frac{2 \pi}{p}\, \kappa \cdot x\Big) .

    The kernel from an image to the channel g of a regular field is
    :math:`\varphi(R_g^{-1} x)`, that from the channel h to the channel g is
    :math:`\varphi_{g^{-1} h}(R_g^{-1} x)`, and that from the channel h to an
    image is :math:`\varphi(R_h^{-1} x)`, at the cells. For each pair of fields
    there are p^2 coefficients for an image, or for each element of the group.
    Where all elements map cells to cells, and p <= 5, they give all kernels
    on the grid, as ``'grid'`` does. At other angles they err more than
    escnn's, as the sum over the cells of a turned filter of few cells depends
    on the angle; most where the group has no quarter turns.

    With the default arguments it is the block of [C+2021]_. Steerable
    kernels for SO(2), O(2) and restrictions to subgroups are from [WC2019]_.
    Complex networks with functions of the modulus are in [T+2018]_.

    References
    ----------
    .. [C+2021] Celledoni E, Ehrhardt M J, Etmann C, Owren B, Schönlieb C-B
       and Sherry F. *Equivariant neural networks for inverse problems*.
       Inverse Problems 37 (2021) 085006.
    .. [WC2019] Weiler M and Cesa G. *General E(2)-equivariant steerable
       CNNs*. Advances in Neural Information Processing Systems 32 (2019).
    .. [T+2018] Trabelsi C et al. *Deep complex networks*. International
       Conference on Learning Representations (2018).
    .. [HMK2023] Herbreteau S, Moebel E and Kervrann C.
       *Normalization-equivariant neural networks with application to image
       denoising*. Advances in Neural Information Processing Systems 36
       (2023).
    .. [XZXM2023] Xie Q, Zhao Q, Xu Z and Meng D. *Fourier series expansion
       based filter parametrization for equivariant convolutions*. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 45 (2023)
       4537-4551.
    .. [FXMX2024] Fu J, Xie Q, Meng D and Xu Z. *Rotation equivariant proximal
       operator for deep unfolding methods in image restoration*. IEEE
       Transactions on Pattern Analysis and Machine Intelligence 46 (2024)
       6577-6593.

    Examples
    --------
    >>> import torch
    >>> block = EquivariantProximal(channels=8, memory=2)
    >>> u = torch.zeros(1, 1, 16, 16)
    >>> u, s = block(u, gradient=u)
    >>> u.shape, s.shape
    (torch.Size([1, 1, 16, 16]), torch.Size([1, 2, 16, 16]))

    A denoiser of vector fields, for all rotations and reflections:

    >>> denoiser = EquivariantProximal(
    ...     2, 12, 'O2', 0, gradient=False, representation='standard'
    ... )
    >>> denoiser(torch.zeros(1, 2, 16, 16)).shape
    torch.Size([1, 2, 16, 16])

    A denoiser of complex images, which multiplies its result by i if the image
    is multiplied by i:

    >>> denoiser = EquivariantProximal(
    ...     2, 16, 'D4', 0, gradient=False, noise_level=True, phase=True
    ... )
    >>> u = torch.randn(1, 2, 16, 16)
    >>> times_i = torch.cat([-u[:, 1:], u[:, :1]], 1)
    >>> v, w = denoiser(u, sigma=0.1), denoiser(times_i, sigma=0.1)
    >>> torch.allclose(w, torch.cat([-v[:, 1:], v[:, :1]], 1), atol=1e-5)
    True

    A denoiser of volumes, for the 24 rotations of the cube:

    >>> denoiser = EquivariantProximal(1, 24, 'O', 0, gradient=False)
    >>> u = torch.randn(1, 1, 6, 6, 6)
    >>> turned = u.transpose(2, 4).flip(4)
    >>> v, w = denoiser(u), denoiser(turned)
    >>> torch.allclose(w, v.transpose(2, 4).flip(4), atol=1e-5)
    True

    A denoiser for images in any unit:

    >>> denoiser = EquivariantProximal(
    ...     memory=0,
    ...     channels=8,
    ...     gradient=False,
    ...     noise_level=True,
    ...     homogeneous=True,
    ... )
    >>> u = torch.rand(1, 1, 16, 16)
    >>> v = denoiser(1024 * u, sigma=1024 * 0.1)
    >>> torch.equal(v, 1024 * denoiser(u, sigma=0.1))
    True
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 96,
        group: str = 'C4',
        memory: int = 5,
        gradient: bool = True,
        noise_level: bool = False,
        n_residual_blocks: int = 1,
        skip: bool = False,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        negative_slope: int | float = 0.01,
        representation: str = 'trivial',
        nonlinearity: str | None = None,
        max_frequency: int | None = None,
        n_samples: int | None = None,
        restrict_to: str | None = None,
        restrict_after: int | None = None,
        basis: str | None = None,
        phase: bool = False,
        homogeneous: bool = False,
        shift_equivariant: bool = False,
        axis: int | None = None,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)
        self._set_values(homogeneous, shift_equivariant)
        # in one word, with the axis of a group about one
        self._set_group(group, axis)
        self._arguments['group'] = self.group
        kind = checked_kind(basis, self._acting_group)
        self._set('basis', kind, 'escnn')
        checked = layout.checked_representation(
            representation, self.in_channels, self.dimension
        )
        self._set('representation', checked, 'trivial')
        self._set('phase', boolean('phase', phase), False)
        if self.phase:
            layout.check_phase(
                self._acting_group, self.in_channels, self.memory, checked
            )
        for (name, default), value in zip(
            (
                ('nonlinearity', MODULUS if self.phase else 'pointwise'),
                ('max_frequency', None),
                ('n_samples', None),
            ),
            layout.checked_nonlinearity(
                self._acting_group,
                nonlinearity,
                max_frequency,
                n_samples,
                self.phase,
            ),
            strict=True,
        ):
            self._set(name, value, default)
        for name, value in zip(
            ('restrict_to', 'restrict_after'),
            layout.checked_restriction(
                self._acting_group,
                restrict_to,
                restrict_after,
                self.n_residual_blocks,
            ),
            strict=True,
        ):
            self._set(name, value, None)
        layout.check_channels(
            self._acting_group,
            self.channels,
            self.max_frequency,
            self.kernel_size,
            self.phase,
        )
        if (
            self.nonlinearity == 'gated'
            and self.representation == 'standard'
            and self.kernel_size == 1
        ):
            raise ValueError(
                'a vector field has no gates at a single pixel: take '
                "kernel_size=3, or nonlinearity='fourier' or 'norm'"
            )
        if self.phase and self.noise_level:
            # by its law for all complex factors, without an argument
            self.homogeneous = True
        self._build()

    def _field_size(self):
        if self.group in INFINITE:
            return 1
        return n_elements(self._acting_group)

    def described_nonlinearity(self) -> dict[str, Any] | None:
        """Return the description of the non-linearity, None for LeakyReLU."""
        if self.phase:
            return {'name': MODULUS, 'group': self._acting_group}
        if self.group not in INFINITE:
            return None
        names = ('group', 'max_frequency', 'n_samples')
        described = {name: getattr(self, name) for name in names}
        described = {k: v for k, v in described.items() if v is not None}
        return {'name': self.nonlinearity, **described}

    def _acting(self, block):
        """Return the group of the kernels after a number of blocks."""
        if self.restrict_to is None or block < self.restrict_after:
            return self._acting_group
        return self.restrict_to

    @property
    def _n_parts(self):
        """Number of real channels for a number of a field."""
        return 2 if self.phase else 1

    def _hidden_fields(self, group):
        channels = self.channels // self._n_parts
        return layout.hidden_fields(
            self._acting_group, group, channels, self.max_frequency
        )

    def _gated(self, fields):
        """Return fields with the gates that the non-linearity takes."""
        n_gates = n_inputs_of(self.described_nonlinearity(), self.channels)
        n_gates -= self.channels
        return fields + [('trivial', n_gates)] if n_gates else fields

    def _image_fields(self, n_images, n_channels):
        n_scalars = n_channels - n_images * self.in_channels
        return layout.image_fields(
            self.representation,
            self.in_channels // self._n_parts,
            n_images,
            n_scalars // self._n_parts,
            self.dimension,
        )

    def _lifting(self, n_channels, gain):
        images = self._image_fields(1 + self.gradient, n_channels)
        group = self._acting_group
        fields, order = self._hidden_fields(group)
        return self._convolution(
            images, (self._gated(fields), order), group, gain, (0, 1)
        )

    def _hidden(self, block, gain):
        group = self._acting(block)
        fields, order = self._hidden_fields(group)
        return self._convolution(
            (fields, order), (self._gated(fields), order), group, gain, (1, 1)
        )

    def _projecting(self, n_channels, gain):
        group = self._acting(self.n_residual_blocks)
        images = self._image_fields(1, n_channels)
        return self._convolution(
            self._hidden_fields(group), images, group, gain, (1, 0)
        )

    def _convolution(self, source, target, group, gain, hidden):
        """Return a convolution, given which of its ends are hidden."""

        def make(gain):
            return self._real_convolution(source, target, group, gain)

        if self.phase:
            return ComplexLinearConvolution(make, gain, hidden)
        return make(gain)

    def _real_convolution(self, source, target, group, gain):
        (sources, source_order), (targets, target_order) = source, target
        arguments = (group, self.kernel_size, self.padding_mode, gain)
        ordered = source_order is not None or target_order is not None
        if ordered or len(sources) + len(targets) > 2:
            return MixedConvolution(
                sources,
                targets,
                *arguments,
                source_order,
                target_order,
                basis=self.basis,
                bias=not (self.phase or self.homogeneous),
            )
        ((source, n_in),), ((target, n_out),) = sources, targets
        return steerable_convolution(
            n_in,
            n_out,
            source,
            target,
            *arguments,
            bias=not (self.phase or self.homogeneous),
            basis=self.basis,
        )

    def _check_values(self, space):
        if self.phase:
            layout.check_complex_space(space)
        if self.representation == 'standard':
            layout.check_vector_space(space, self.dimension)

    def _check_cells(self, space):
        check_cells(space, self.group, self.axis)

    def _advice_of_dimension(self, found):
        return advice_of_dimension(self.group, found)


class OrdinaryProximal(Proximal):
    """Learned proximal with ordinary convolutions, to compare with.

    It is the same network as `EquivariantProximal`, with the same width and
    initial variance, but without a constraint on its kernels. So it is
    equivariant under translations only: exactly, away from the boundary or
    with ``padding_mode='circular'``, as for `EquivariantProximal`.

    Parameters
    ----------
    in_channels, channels, memory, gradient, noise_level, n_residual_blocks, \
skip, kernel_size, padding_mode, negative_slope
        As for `EquivariantProximal`; ``channels`` may be any number, an even
        one with ``shift_equivariant``.
    nonlinearity : mapping, optional
        Description of the non-linearity, as `to_convolutional` makes it of an
        `EquivariantProximal` of an infinite group or with ``phase``. Default:
        a LeakyReLU of each channel.
    homogeneous, shift_equivariant : bool, optional
        As for `EquivariantProximal`.
    dimension : {2, 3}, optional
        Number of axes of the images: 3 for volumes.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    TypeError
        If a number or a bool is none.

    Examples
    --------
    >>> import torch
    >>> denoiser = OrdinaryProximal(
    ...     channels=8, memory=0, gradient=False, noise_level=True
    ... )
    >>> denoiser(torch.zeros(1, 1, 16, 16), sigma=0.1).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 96,
        memory: int = 5,
        gradient: bool = True,
        noise_level: bool = False,
        n_residual_blocks: int = 1,
        skip: bool = False,
        kernel_size: int = 3,
        padding_mode: str = 'replicate',
        negative_slope: int | float = 0.01,
        nonlinearity: dict[str, Any] | None = None,
        homogeneous: bool = False,
        shift_equivariant: bool = False,
        dimension: int = 2,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in _HIDDEN}
        super().__init__(arguments)
        dimension = whole_number('dimension', dimension, 2, 3)
        self._set('dimension', dimension, 2)
        self._set_values(homogeneous, shift_equivariant)
        self._set('nonlinearity', checked_description(nonlinearity), None)
        self._build()

    def described_nonlinearity(self) -> dict[str, Any] | None:
        """Return the description of the non-linearity, None for LeakyReLU."""
        return self.nonlinearity

    def _lifting(self, n_channels, gain):
        return self._convolution(n_channels, self._n_hidden(), gain)

    def _hidden(self, block, gain):
        return self._convolution(self.channels, self._n_hidden(), gain)

    def _projecting(self, n_channels, gain):
        return self._convolution(self.channels, n_channels, gain)

    def _n_hidden(self):
        return n_inputs_of(self.nonlinearity, self.channels)

    def _convolution(self, in_channels, out_channels, gain):
        return PaddedConvolution(
            in_channels,
            out_channels,
            self.kernel_size,
            self.padding_mode,
            gain,
            bias=not self.homogeneous,
            dimension=self.dimension,
        )

    def _advice_of_dimension(self, found):
        return advice_of_dimension(None, found)


_HIDDEN = ('self', '__class__')
