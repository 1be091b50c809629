# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pickles of ODL operators, with the torch modules in them kept apart."""

import io
import pickle

from odl.applications.tomo import RayTransform
from torch import nn

__all__ = ('pack', 'unpack')


def _ray_transform(arguments, keywords):
    return RayTransform(*arguments, **keywords)


def _adjoint(operator):
    return operator.adjoint


class _Pickler(pickle.Pickler):
    """Pickler that knows ODL's ray transforms and sets modules aside.

    A ray transform keeps its adjoint once that was asked for, and the class
    of the adjoint is local to a function, so that neither can be pickled.
    """

    def __init__(self, file):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.modules = []

    def persistent_id(self, obj):
        """Return the number of a torch module."""
        if not isinstance(obj, nn.Module):
            return None
        for number, module in enumerate(self.modules):
            if module is obj:
                return number
        self.modules.append(obj)
        return len(self.modules) - 1

    def reducer_override(self, obj):
        """Rebuild ray transforms and back-projections from the geometry."""
        if type(obj) is RayTransform:
            impl = obj.impl if obj.impl in _registered() else obj._impl_type
            return _ray_transform, (
                (obj.domain, obj.geometry),
                {
                    'impl': impl,
                    'proj_space': obj.range,
                    'use_cache': obj.use_cache,
                },
            )
        if type(obj).__qualname__ == _BACK_PROJECTION:
            return _adjoint, (obj.adjoint,)
        return NotImplemented


_BACK_PROJECTION = 'RayTransform.adjoint.<locals>.RayBackProjection'


def _registered():
    from odl.applications.tomo.operators.ray_trafo import RAY_TRAFO_IMPLS

    return RAY_TRAFO_IMPLS


class _Unpickler(pickle.Unpickler):
    """Unpickler that is given the modules that were set aside."""

    def __init__(self, file, modules):
        super().__init__(file)
        self.modules = modules

    def persistent_load(self, number):
        """Return the module of this number."""
        return self.modules[number]


def pack(operator):
    """Return an operator as bytes, and the torch modules in it.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator, for example one with ray transforms in it, which pickle
        alone refuses.

    Returns
    -------
    data : bytes
        Pickle of the operator without the modules.
    modules : list of torch.nn.Module
        The modules in the order in which they were met.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(operator)
    return file.getvalue(), pickler.modules


def unpack(data, modules):
    """Return the operator of which `pack` made the arguments.

    Parameters
    ----------
    data : bytes
        Result of `pack` in this or in another process, never from a file.
    modules : list of torch.nn.Module
        Modules to put into the operator.

    Returns
    -------
    operator : `odl.Operator`
        A new operator.
    """
    return _Unpickler(io.BytesIO(data), modules).load()
