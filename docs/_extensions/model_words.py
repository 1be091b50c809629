# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""What pages of shipped models say of each kind: use, code and limits."""

__all__ = ('IMAGES', 'KINDS', 'METHODS', 'OTHERS', 'USES')

IMAGES = {
    'head': 'a head, one slice of pydicom',
    'heads': '{n} slices of another head',
    'abdomen': 'an abdomen, one slice of pydicom',
    'phantoms': '{n} random phantoms',
    'brain': 'the brain of a macaque, a template of MRI',
    'volumes of phantoms': '{n} volumes of random ellipsoids',
}

# By kind of model: what it is, how it is used, and where its limits are.
_UNROLLED = {
    'is': 'An unrolled network, from data to image',
    'pages': '{doc}`/how-to/models` and {doc}`/how-to/deploying`',
}
KINDS = {
    'tomography': _UNROLLED
    | {
        'code': """from odl_equivariant import models
from odl_equivariant.data import SparseViewCT, ellipse_phantom

ct = SparseViewCT((64, 64), n_views=50)
y = ct.simulate(ellipse_phantom((128, 128), rng=0), rng=0)
reconstruct = models.load('{name}', ct).as_operator()
image = reconstruct(y)""",
        'limits': (
            'It does not fill in views that are missing: on less than a half '
            'turn its images have streaks. Plug a denoiser in instead, see '
            '{doc}`/how-to/sinogram`.',
            'Cells must be square.',
        ),
        'unit': (
            'Values far from those of the training are named once, with both '
            'ranges. Give `load` the acquisition, or a `unit`.'
        ),
    },
    'magnetic resonance': _UNROLLED
    | {
        'code': """from odl_equivariant import models
from odl_equivariant.data import CartesianMRI, mr_phantom

mri = CartesianMRI((64, 64), acceleration=4)
y = mri.simulate(mr_phantom((64, 64), rng=0), rng=0)
reconstruct = models.load('{name}', mri.operator).as_operator()
image = reconstruct(y)""",
        'limits': (
            'Samples must lie on a Cartesian grid. For spokes and spirals '
            'plug a denoiser in, see {doc}`/how-to/non-cartesian`.',
        ),
        'unit': (
            'The largest magnitude of an image must be about 1: '
            '`normalised()` divides measured data, see '
            '{doc}`/how-to/kspace`.'
        ),
    },
    'denoiser': {
        'is': 'A denoiser that is told the noise level',
        'pages': '{doc}`/how-to/plug-and-play` and {doc}`/how-to/solvers`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.functionals import LearnedProximal

space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype='float32')
truth = space.element(ellipse_phantom((64, 64), rng=0))
noisy = truth + odl.core.phantom.white_noise(space, stddev=0.05, seed=0)
denoise = LearnedProximal(space, models.load('{name}')).proximal(0.05)
image = denoise(noisy)""",
        'limits': (
            'It is not a proximal in the strict sense: iterations with it '
            'need not have a limit. Stop early, or lower the noise level.',
            'It was trained for white noise. Streaks of few views and folds '
            'of k-space are none.',
        ),
    },
    'volumes of magnetic resonance': _UNROLLED
    | {
        'pages': '{doc}`/how-to/volumes`',
        'code': """from odl_equivariant import models
from odl_equivariant.data import VolumeMRI, ellipsoid_phantom

mri = VolumeMRI((24, 24, 24), acceleration=4)
y = mri.simulate(ellipsoid_phantom((24, 24, 24), rng=0), rng=0)
reconstruct = models.load('{name}', mri.operator).as_operator()
image = reconstruct(y)""",
        'limits': (
            'Samples must lie on a Cartesian grid.',
            'Its denoiser was trained on boxes of two heads and of phantoms, '
            'and is taken as it is, with steps and levels that suit it.',
        ),
    },
    'denoiser of volumes': {
        'is': 'A denoiser of volumes that is told the noise level',
        'pages': '{doc}`/how-to/volumes` and {doc}`/how-to/plug-and-play`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipsoid_phantom
from odl_equivariant.functionals import LearnedProximal

space = odl.uniform_discr([0] * 3, [1] * 3, (24, 24, 24), dtype='float32')
truth = space.element(ellipsoid_phantom((24, 24, 24), rng=0))
noisy = truth + odl.core.phantom.white_noise(space, stddev=0.05, seed=0)
denoise = LearnedProximal(space, models.load('{name}')).proximal(0.05)
image = denoise(noisy)""",
        'limits': (
            'It is not a proximal in the strict sense: iterations with it '
            'need not have a limit. Stop early, or lower the noise level.',
            'It was trained on boxes of two heads and of phantoms alone.',
        ),
    },
    'energy': {
        'is': 'A learned energy, as a regulariser with a value',
        'pages': '{doc}`/how-to/plug-and-play` and {doc}`/how-to/solvers`',
        'code': """import odl

from odl_equivariant import models
from odl_equivariant.data import ellipse_phantom
from odl_equivariant.functionals import LearnedRegularizer

space = odl.uniform_discr([0, 0], [1, 1], (64, 64), dtype='float32')
truth = space.element(ellipse_phantom((64, 64), rng=0))
R = LearnedRegularizer(space, models.load('{name}'), sigma=0.05)
value, slope = R(truth), R.gradient(truth)""",
        'limits': (
            'A reconstruction takes many gradients, and its weight has to be '
            'chosen.',
            'Values are expected from 0 to 1; for others pass `scale`, see '
            '{doc}`/how-to/units`.',
        ),
    },
}
# The method of `compare_regularisers.py` that a model is.
METHODS = {
    'sparse_view_ct_': 'unrolled_',
    'cartesian_mri_': 'unrolled_',
    'multiscale_denoiser_': 'plug_and_play_',
    'splitting_ct_': 'unrolled_splitting_',
    'splitting_mri_': 'unrolled_splitting_',
    'primal_dual_ct_': 'primal_dual_',
}
# The models of the other modality.
OTHERS = {
    'ct': ('cartesian_mri_', 'splitting_mri_'),
    'mri': ('sparse_view_ct_', 'splitting_ct_', 'primal_dual_ct_'),
}
USES = {
    'sparse_view_ct': 'few views: from data to image, fast',
    'cartesian_mri': 'a part of k-space: from data to image, fast',
    'primal_dual_ct': 'few views on a half turn: from data to image',
    'splitting_ct': 'few views: from data to image',
    'splitting_mri': 'a part of k-space: from data to image',
    'volume_mri': 'volumes from a part of k-space: from data to image',
    'denoiser': 'plugging in, small and fast',
    'volume_denoiser': 'plugging in, volumes',
    'multiscale_denoiser': 'plugging in',
    'gradient_step': 'plugging in, with a value',
    'ridge_convex': 'regularising, with a unique minimiser',
    'ridge_weakly_convex': 'regularising',
}
