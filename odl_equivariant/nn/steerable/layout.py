# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""The fields of an equivariant proximal and the order of channels."""

import odl

from odl_equivariant._checks import whole_number
from odl_equivariant.elements import describe_space, is_complex
from odl_equivariant.nn.steerable.activations import (
    MODULUS,
    NONLINEARITIES,
    check_samples,
    default_samples,
)
from odl_equivariant.nn.steerable.groups import (
    INFINITE,
    checked_group,
    is_subgroup,
    nearest_channels,
    subgroups_of,
)
from odl_equivariant.nn.steerable.representations import (
    band_limited,
    elements_in_order,
    field_size,
)
from odl_equivariant.nn.steerable.space import (
    dimension_of,
    n_elements,
    order_in_cosets,
    subgroup_in_space,
    subgroups_in_space,
)

__all__ = (
    'check_basis_size',
    'check_complex_space',
    'check_phase',
    'check_vector_space',
    'check_channels',
    'checked_nonlinearity',
    'checked_representation',
    'checked_restriction',
    'hidden_fields',
    'image_fields',
)

# Computing such a basis takes half a minute or a gigabyte.
_LARGEST_SIZE = 64
_LARGEST_BASIS = 3e7


def checked_representation(representation, in_channels, dimension=2):
    """Return how the values of images turn, in the name of `actions`.

    Raises
    ------
    ValueError
        If it is neither ``'trivial'`` nor ``'standard'``, or so many channels
        are not those of vector fields.
    """
    if representation is None or (
        isinstance(representation, str) and representation == 'trivial'
    ):
        return 'trivial'
    if not isinstance(representation, str) or representation not in (
        'standard',
        'vector',
    ):
        hint = ''
        if hasattr(representation, 'gspace') or hasattr(
            representation, 'group'
        ):
            hint = ', and nothing of escnn: pass the name'
        raise ValueError(
            "`representation` must be 'trivial', for images whose values do "
            "not turn, or 'standard', for vector fields"
            f'{hint}; got {representation!r}'
        )
    if in_channels % dimension:
        nearest = nearest_channels(in_channels, dimension)
        kind = 'even' if dimension == 2 else f'a multiple of {dimension}'
        raise ValueError(
            f'the channels of vector fields are {kind} in number, {dimension} '
            f'for a real field and {2 * dimension} for a complex one: '
            "representation='standard' takes "
            f'in_channels={" or ".join(map(str, nearest))}, got {in_channels}'
        )
    return 'standard'


def check_phase(group, in_channels, memory, representation):
    """Raise a ValueError unless all inputs are complex, of a finite group.

    Parameters
    ----------
    group : str
        Name of the group.
    in_channels, memory : int
        Numbers of real channels.
    representation : {'trivial', 'standard'}
        How the values of images turn.
    """
    if group in INFINITE:
        raise ValueError(
            'phase=True takes the finite groups C1, C2, ... and D1, D2, ..., '
            f'got the infinite group {group}'
        )
    for name, number, of, size in (
        (
            'in_channels',
            in_channels,
            *(
                ('a complex image', 2)
                if representation == 'trivial'
                else ('a complex vector field', 2 * dimension_of(group))
            ),
        ),
        ('memory', memory, 'complex memory', 2),
    ):
        if number % size:
            nearest = ' or '.join(map(str, nearest_channels(number, size)))
            raise ValueError(
                f'{of} has real and imaginary parts as channels: with '
                f'phase=True, `{name}` is a multiple of {size}, such as '
                f'{nearest}, got {number}'
            )


def check_complex_space(space):
    """Raise a ValueError unless a space is complex."""
    if not is_complex(space):
        raise ValueError(
            'a proximal with phase=True takes complex images, and the space '
            f'{describe_space(space)} is real: take a complex space, or make '
            'the proximal without `phase`'
        )


def check_vector_space(space, dimension=2):
    """Raise a ValueError unless the elements of a space are vector fields.

    Parameters
    ----------
    space : `DiscretizedSpace`, `TensorSpace` or `ProductSpace`
        Space with a multiple of ``dimension`` as its number of channels.
    dimension : {2, 3}, optional
        Number of components of a vector.
    """
    if isinstance(space, odl.ProductSpace) and len(space) == dimension:
        return
    if not isinstance(space, odl.ProductSpace):
        raise ValueError(
            'the elements of the space '
            f'{describe_space(space)} are no vector fields: take '
            f'`space ** {dimension}`, or make the proximal with '
            "representation='trivial'"
        )
    raise ValueError(
        'a space of vector fields has one part for each component, and not '
        f'{len(space)}: several fields lie in `(space ** n) ** {dimension}`, '
        'all first '
        f'components before all second ones; got {describe_space(space)}'
    )


def checked_nonlinearity(
    group, nonlinearity, max_frequency, n_samples, phase=False
):
    """Return the three arguments, with the defaults of an infinite group.

    Returns
    -------
    nonlinearity, max_frequency, n_samples
        The latter two are None for a finite group.

    Raises
    ------
    ValueError
        If one of them does not fit the group.
    """
    if group not in INFINITE:
        if phase and nonlinearity not in (None, MODULUS):
            raise ValueError(
                f"phase=True takes nonlinearity='{MODULUS}', which commutes "
                f'with phases, got {nonlinearity!r}'
            )
        if not phase and nonlinearity == MODULUS:
            raise ValueError(
                f"nonlinearity='{MODULUS}' is for complex fields: pass "
                'phase=True'
            )
        if not phase and nonlinearity not in (None, 'pointwise'):
            raise ValueError(
                f"the finite group {group} takes nonlinearity='pointwise', of "
                'the channels of regular fields, which it permutes; '
                f'{", ".join(NONLINEARITIES)} are for {" and ".join(INFINITE)}'
                f'; got {nonlinearity!r}'
            )
        for name, value in (
            ('max_frequency', max_frequency),
            ('n_samples', n_samples),
        ):
            if value is not None:
                raise ValueError(
                    f'`{name}` is for {" and ".join(INFINITE)}, the finite '
                    f'group {group} has regular fields; got {value!r}'
                )
        return (MODULUS if phase else 'pointwise'), None, None
    nonlinearity = 'fourier' if nonlinearity is None else nonlinearity
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(
            f'the infinite group {group} turns the channels of its fields, '
            'so `nonlinearity` must be one of '
            f'{", ".join(NONLINEARITIES)}, got {nonlinearity!r}'
        )
    max_frequency = 1 if max_frequency is None else max_frequency
    max_frequency = whole_number('max_frequency', max_frequency, 1)
    if nonlinearity != 'fourier':
        if n_samples is not None:
            raise ValueError(
                "`n_samples` is for nonlinearity='fourier', got "
                f'{n_samples!r} with {nonlinearity!r}'
            )
        return nonlinearity, max_frequency, None
    if n_samples is None:
        n_samples = default_samples(max_frequency)
    n_samples = whole_number('n_samples', n_samples, 1)
    check_samples(max_frequency, n_samples)
    return nonlinearity, max_frequency, n_samples


def check_channels(group, channels, max_frequency, kernel_size, phase=False):
    """Raise a ValueError unless the channels make up whole fields.

    Also if the kernels between them would be too large.
    """
    infinite = group in INFINITE
    if infinite:
        size = field_size(group, band_limited(group, max_frequency))
        words = f'of {group} with max_frequency={max_frequency}'
        smaller = 'max_frequency'
    else:
        size = n_elements(group)
        words, smaller = f'for the group {group}', 'group'
    if dimension_of(group) == 2:
        check_basis_size(size, kernel_size, words, smaller)
    if phase:
        size *= 2
    if channels % size:
        nearest = ' or '.join(map(str, nearest_channels(channels, size)))
        what = (
            f'the {size} channels of a field {words}'
            if infinite
            else f'{size}, twice the order of the group {group}, as the '
            'fields are complex,'
            if phase
            else f'the order {size} of the group {group}'
        )
        raise ValueError(
            f'{what} must divide `channels`, got {channels}; the nearest are '
            f'{nearest}'
        )


def check_basis_size(size, kernel_size, words, smaller):
    """Raise a ValueError if a basis between fields would be too large.

    Parameters
    ----------
    size : int
        Channels of the largest field.
    kernel_size : int
        Side of the kernels.
    words, smaller : str
        What the basis is of, and what to take smaller.
    """
    if size > _LARGEST_SIZE or size**3 * kernel_size**4 > _LARGEST_BASIS:
        raise ValueError(
            f'the basis of kernels of side {kernel_size} {words} would take '
            f'minutes or gigabytes to compute: take a smaller {smaller} or '
            f'kernel, with fields of n <= {_LARGEST_SIZE} channels and '
            f'n^3 * kernel_size^4 <= {_LARGEST_BASIS:.0e}'
        )


def checked_restriction(group, restrict_to, restrict_after, n_blocks):
    """Return the subgroup and the number of blocks before it, or None twice.

    Raises
    ------
    ValueError
        If there is no such subgroup, or not so many blocks.
    """
    if restrict_to is None:
        if restrict_after is not None:
            raise ValueError(
                f'restrict_after={restrict_after!r} needs a group as '
                f'`restrict_to`; subgroups of {group} are '
                f'{_named_subgroups(group)}'
            )
        return None, None
    if dimension_of(group) == 3:
        restrict_to = subgroup_in_space(restrict_to, group)
    elif not is_subgroup(restrict_to := checked_group(restrict_to), group):
        raise ValueError(
            f'{restrict_to} is no subgroup of {group}, so the network cannot '
            f'be restricted to it; subgroups are {subgroups_of(group)}'
        )
    restrict_after = n_blocks if restrict_after is None else restrict_after
    restrict_after = whole_number('restrict_after', restrict_after, 0)
    if restrict_after > n_blocks:
        raise ValueError(
            '`restrict_after` must be the number of residual blocks before '
            f'the restriction, at most {n_blocks}, got {restrict_after}'
        )
    return restrict_to, restrict_after


def _named_subgroups(group):
    in_space = dimension_of(group) == 3
    return (subgroups_in_space if in_space else subgroups_of)(group)


def image_fields(
    representation, in_channels, n_images, n_scalars, dimension=2
):
    """Return the fields at the ends of the network, and their channels.

    Parameters
    ----------
    representation : {'trivial', 'standard'}
        How the values of images turn.
    in_channels, n_images : int
        Channels of an image, and number of images.
    n_scalars : int
        Channels after them that do not turn.
    dimension : {2, 3}, optional
        Number of components of a vector.

    Returns
    -------
    fields : list of tuple
        Representations, and numbers of fields.
    order : list of int or None
        For each channel its place among those of the fields.
    """
    if representation == 'trivial':
        return [('trivial', n_images * in_channels + n_scalars)], None
    n_vectors = in_channels // dimension
    fields = [('standard', n_images * n_vectors)]
    if n_scalars:
        fields.append(('trivial', n_scalars))
    image = components_first(n_vectors, dimension)
    starts = range(0, n_images * in_channels, in_channels)
    order = [start + place for start in starts for place in image]
    return fields, order + list(range(len(order), len(order) + n_scalars))


def components_first(n_fields, size):
    """Return the order of channels with all first components first.

    In a product space, as `odl_equivariant.actions` turns it, a component of
    all fields comes before the next one.

    Parameters
    ----------
    n_fields, size : int
        Number of fields, and of channels of each.

    Returns
    -------
    order : list of int
        For each channel its place if one field came after the other.

    Examples
    --------
    >>> components_first(3, 2)
    [0, 2, 4, 1, 3, 5]
    """
    return [
        field * size + component
        for component in range(size)
        for field in range(n_fields)
    ]


def hidden_fields(group, acting, channels, max_frequency):
    """Return the hidden fields of a group, as a subgroup acts on them.

    Parameters
    ----------
    group, acting : str
        The group that the fields are made for, and the subgroup.
    channels : int
        Number of channels.
    max_frequency : int or None
        Of an infinite group, the largest frequency of its fields.

    Returns
    -------
    fields, order
        As `image_fields` returns them.
    """
    if group in INFINITE:
        name = band_limited(group, max_frequency)
        return [(name, channels // field_size(group, name))], None
    fields = [('regular', channels // n_elements(acting))]
    if acting == group:
        return fields, None
    in_space = dimension_of(group) == 3
    cosets = (order_in_cosets if in_space else elements_in_order)(
        group, acting
    )
    starts = range(0, channels, len(cosets))
    return fields, [start + place for start in starts for place in cosets]
