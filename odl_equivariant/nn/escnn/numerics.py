# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Replacements for parts of escnn's linear algebra and of its cache.

They make escnn work once ODL is imported, and keep it from writing files. They
also make its bases the same on every machine, so that weights mean the same
everywhere.
"""

import copy
import functools

import numpy as np
import scipy.linalg
import scipy.sparse

from odl_equivariant.nn._defaults import fixed_random_state

__all__ = ('Memory', 'null', 'build_sylvester_constraint')


def null(A, use_sparse=False, eps=1e-12):  # noqa: N803
    r"""Return an orthonormal basis of the kernel of a matrix.

    Parameters
    ----------
    A : array-like
        Matrix of shape ``(m, n)``, dense or sparse, with ``m >= n``.
    use_sparse : bool, optional
        Accepted as escnn passes it, and ignored.
    eps : float, optional
        Singular values up to this one count as zero.

    Returns
    -------
    basis : numpy.ndarray
        Array of shape ``(n, k)``, ``k`` being the dimension of the kernel.

    Notes
    -----
    The basis that the singular value decomposition gives depends on the
    LAPACK at hand. Instead, with :math:`P` the orthogonal projection onto
    the kernel and :math:`e_j` the unit vectors,

    .. math::
        P e_1, \ldots, P e_n

    are orthonormalized in this order, those that depend on earlier ones
    being left out. The result is a function of the kernel alone.

    Examples
    --------
    >>> null(np.array([[1.0, 1.0], [2.0, 2.0]])).round(3).tolist()
    [[0.707], [-0.707]]
    """
    # An array in any case: under the array API, into which ODL switches
    # SciPy, `numpy.matrix` is refused.
    dense = A.toarray() if scipy.sparse.issparse(A) else np.asarray(A)
    _, singular_values, rows = scipy.linalg.svd(dense, full_matrices=False)
    rows = rows[singular_values <= eps]

    projections = rows.copy()
    coefficients = np.empty((len(rows), len(rows)))
    for k in range(len(rows)):
        lengths = np.linalg.norm(projections, axis=0)
        first = projections[:, np.argmax(lengths > 1e-6)]
        coefficients[k] = first / np.linalg.norm(first)
        projections -= np.outer(coefficients[k], coefficients[k] @ projections)
    return (coefficients @ rows).T


def build_sylvester_constraint(rho_1, rho_2):
    r"""Return the matrix whose kernel holds the intertwiners.

    Parameters
    ----------
    rho_1, rho_2 : sequence of array-like
        Matrices of two representations at the same group elements, of the
        shapes ``(m, m)`` and ``(n, n)``.

    Returns
    -------
    constraint : scipy.sparse.csc_array
        Array of shape ``(len(rho_1) * m * n, m * n)``.

    Notes
    -----
    The vectors of the kernel are the matrices :math:`W` with

    .. math::
        \rho_1(g) W = W \rho_2(g),

    stacked column by column. The Kronecker products are dense: the matrices
    are small, and building sparse ones takes longer by far than all the
    rest.
    """
    first = np.stack([_as_dense(matrix) for matrix in rho_1])
    second = np.stack([_as_dense(matrix) for matrix in rho_2])
    m, n = first.shape[-1], second.shape[-1]
    constraint = np.einsum('jl,sik->sjilk', np.eye(n), first)
    constraint -= np.einsum('slj,ik->sjilk', second, np.eye(m))
    return scipy.sparse.csc_array(constraint.reshape(-1, m * n))


def _as_dense(matrix):
    """Return a matrix as an array."""
    if scipy.sparse.issparse(matrix):
        return matrix.toarray()
    return np.asarray(matrix)


class Memory:
    """The part of `joblib.Memory` that escnn uses, without the files."""

    def __init__(self, location=None, verbose=0):
        """Initialize a new instance; both arguments are ignored."""

    def cache(self, function=None, ignore=()):
        """Return ``function``, remembering its values.

        It is evaluated with a fixed state of NumPy's global random
        generator, which escnn draws from, and the state of the caller is
        put back.

        Parameters
        ----------
        function : callable, optional
            The function to decorate; without it, a decorator is returned.
        ignore : sequence of str, optional
            Names of parameters that the value does not depend on.

        Returns
        -------
        remembered : callable
            A function that returns a new copy of the value each time.
        """
        if function is None:
            return functools.partial(self.cache, ignore=ignore)

        import joblib
        from joblib.func_inspect import filter_args

        values = {}

        @functools.wraps(function)
        def remembered(*args, **kwargs):
            arguments = filter_args(function, list(ignore), args, kwargs)
            key = joblib.hash(arguments)
            if key not in values:
                with fixed_random_state():
                    values[key] = function(*args, **kwargs)
            return copy.deepcopy(values[key])

        return remembered
