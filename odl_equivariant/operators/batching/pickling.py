# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Pickles ODL operators, and stores their torch modules separately."""

import io
import pickle

from torch import nn

__all__ = ('pickled', 'unpickled')


class _Pickler(pickle.Pickler):
    """Pickler that sets torch modules aside."""

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


class _Unpickler(pickle.Unpickler):
    """Unpickler that is given the modules that were set aside."""

    def __init__(self, file, modules):
        super().__init__(file)
        self.modules = modules

    def persistent_load(self, number):
        """Return the module of this number."""
        return self.modules[number]


def pickled(operator):
    """Return an operator as bytes, and the torch modules in it.

    Parameters
    ----------
    operator : `odl.Operator`
        Operator, possibly with networks in it.

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


def unpickled(data, modules):
    """Return the operator that `pickled` was given.

    Parameters
    ----------
    data : bytes
        Result of `pickled` in this or in another process, never from a file.
    modules : list of torch.nn.Module
        Modules to put into the operator.

    Returns
    -------
    operator : `odl.Operator`
        A new operator.
    """
    return _Unpickler(io.BytesIO(data), modules).load()
