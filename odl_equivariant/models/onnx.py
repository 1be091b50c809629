# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.

"""Networks as ONNX files, for runtimes without torch."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import pathlib

import torch
from torch import nn

from odl_equivariant._checks import array_shape
from odl_equivariant._files import write_files
from odl_equivariant._packages import import_package
from odl_equivariant._types import PathLike
from odl_equivariant._warnings import quiet
from odl_equivariant.elements import grid_shape
from odl_equivariant.models.architectures import METHODS, Block
from odl_equivariant.nn import (
    AtScales,
    DualProximal,
    LearnedHalfQuadraticSplitting,
    LearnedPrimalDual,
    UnrolledMethod,
    to_convolutional,
)
from odl_equivariant.nn.inference import duals_of, proximals_of

__all__ = ('export_onnx',)

# Images can be continued periodically from 19 on.
_OPSET = 20
_TOLERANCE = 1e-5
_LARGEST_SIDE = 2**20
_AXES = ('height', 'width', 'depth')


def export_onnx(
    network: Block | UnrolledMethod,
    path: PathLike,
    shape: tuple[int, ...] | None = None,
) -> tuple[pathlib.Path, ...]:
    r"""Write a learned proximal, or those of an unrolled network, as ONNX.

    Parameters
    ----------
    network : torch.nn.Module
        Network to write: an `EquivariantProximal`, `OrdinaryProximal`,
        `MultiscaleDenoiser`, `MultiscaleProximal`, `AtScales` of one of
        these, `LearnedProximalGradient`, `LearnedPrimalDual` or
        `LearnedHalfQuadraticSplitting`. The file has plain convolutions in
        float32. Their kernels are computed in float32 or higher precision.
        Each block of an unrolled method becomes a file of its own. Its
        operators cannot be written to ONNX.
    path : path-like
        File to write, ending in ``.onnx``. For an unrolled method,
        ``net.onnx`` stands for ``net-0.onnx``, ``net-1.onnx``, ..., one file
        if all iterations share their block. The data-side blocks of a
        `LearnedPrimalDual` follow as ``net-dual-0.onnx``, .... Existing files
        are replaced once all new ones are complete.
    shape : tuple of int, optional
        The only grid of images that the file is for; data-side blocks are
        then for the data of the network's operator. Default: any grid that is
        at least as large as the kernels, on the coarsest grid if there are
        several. `AtScales` needs a shape: how it splits images depends on it.

    Returns
    -------
    paths : tuple of pathlib.Path
        The files.

    Raises
    ------
    ImportError
        If onnx, onnxscript or onnxruntime are not installed.
    TypeError
        If the network, or one of its blocks, is none of these classes, or
        ``shape`` does not consist of whole numbers.
    ValueError
        If the path does not end in ``.onnx``, or ``shape`` is not one whole
        number for each axis, two or, for volumes, three, smaller than the
        kernels, or missing for a network at several scales.
    RuntimeError
        If onnxruntime, on random inputs, does not return what torch does, up
        to a relative error of 1e-5. No file is written then.
    FileNotFoundError
        If there is no such folder.

    Notes
    -----
    The inputs are ``x`` and, where the block has them, ``gradient``,
    ``memory`` and ``sigma``, of the shapes ``(N, C, n, m)``, or
    ``(N, C, n, m, l)`` for volumes, and ``(N,)``; the outputs are ``new_x``
    and, with a memory, ``new_memory``. As for `odl_equivariant.nn.Block`,
    ``gradient`` is the scaled gradient.

    The metadata are in JSON: the ``architecture`` and, for an unrolled
    network, ``network``. This has the number ``n_iterations``, the ``steps``
    :math:`\tau_k` of all iterations, the ``initial`` image, the number of
    ``memory`` channels, and which ``block`` of ``n_blocks`` the file holds.

    Data-side blocks have the inputs ``h``, ``evaluation`` and ``data`` and
    the output ``new_h``. A `LearnedPrimalDual` has, instead of ``steps``, its
    ``scales`` of the operator and of its adjoint, the number ``n_duals`` of
    its data-side blocks, the number ``dual_memory`` of memory channels in
    ``h``, and whether it ``extrapolates``: then the operator is applied to
    the sum of the image and the first channels of the memory.

    The blocks of a `LearnedHalfQuadraticSplitting` are denoisers, with the
    inputs ``x`` and ``sigma``. It has the ``steps`` :math:`\tau_k`, the
    ``levels`` :math:`\rho_k`, None if no denoiser takes one, and the number
    ``inner_iterations`` of conjugate gradients, and no ``memory``. For one
    image z, the iteration k, and A with its adjoint as functions of arrays,
    whose inner products have equal weights::

        w, p = np.zeros_like(z), step * adjoint(forward(z) - y)
        r, size = p, (p * p).sum()
        for _ in range(network['inner_iterations']):
            image = p + step * adjoint(forward(p))
            along = size / (p * image).sum()
            w, r = w + along * p, r - along * image
            size, last = (r * r).sum(), size
            p = r + size / last * p
        sigma = level * np.sqrt([(w * w).mean()])
        (z,) = block.run(None, {'x': z - w, 'sigma': sigma})

    A denoiser of one channel is given the real and the imaginary part of a
    complex image as two images, both with this ``sigma``.

    Examples
    --------
    A reconstruction with onnxruntime; the forward operator and its adjoint
    are functions of arrays, here both the identity.

    >>> import os, tempfile
    >>> import numpy as np
    >>> import odl
    >>> import onnxruntime
    >>> from odl_equivariant.nn import (
    ...     LearnedProximalGradient,
    ...     OrdinaryProximal,
    ... )
    >>> space = odl.rn((8, 8), dtype='float32')
    >>> network = LearnedProximalGradient(
    ...     odl.IdentityOperator(space),
    ...     lambda: OrdinaryProximal(channels=4),
    ...     n_iterations=2,
    ... )
    >>> def reconstruct(paths, forward, adjoint, y, u):
    ...     blocks = [onnxruntime.InferenceSession(path) for path in paths]
    ...     metadata = blocks[0].get_modelmeta().custom_metadata_map
    ...     network = json.loads(metadata['network'])
    ...     s = np.zeros((len(u), network['memory'], *u.shape[2:]), 'float32')
    ...     for k, step in enumerate(network['steps']):
    ...         gradient = np.float32(step) * adjoint(forward(u) - y)
    ...         inputs = {'x': u, 'gradient': gradient, 'memory': s}
    ...         u, s = blocks[k % len(blocks)].run(None, inputs)
    ...     return u
    >>> y = np.ones((1, 1, 8, 8), dtype='float32')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = export_onnx(network, os.path.join(folder, 'net.onnx'))
    ...     u = reconstruct(paths, np.copy, np.copy, y, np.zeros_like(y))
    >>> [path.name for path in paths]
    ['net-0.onnx', 'net-1.onnx']
    >>> expected = network(torch.ones(1, 1, 8, 8)).detach().numpy()
    >>> bool(np.allclose(u, expected, atol=1e-5))
    True
    """
    for package in ('onnx', 'onnxruntime', 'onnxscript'):
        _import(package)
    path = pathlib.Path(path)
    if path.suffix != '.onnx':
        raise ValueError(f'the file must end in .onnx, got {path.name!r}')
    unrolled = type(network) in METHODS.values()
    blocks = proximals_of(network)
    data_shape = None
    if shape is None and any(type(block) is AtScales for block in blocks):
        raise ValueError(
            'how a network at several scales splits images depends on their '
            'grid: give it as `shape`'
        )
    if shape is not None:
        shape = _checked_shape(shape, blocks[0])
        if isinstance(network, LearnedPrimalDual):
            data_shape = grid_shape(network.forward_operator.range)
    contents = {}
    for side, own, grid in (
        ('', blocks, shape),
        ('-dual', duals_of(network), data_shape),
    ):
        for i, block in enumerate(own):
            metadata = {'architecture': json.dumps(block.architecture)}
            name = path
            if unrolled:
                name = path.with_name(f'{path.stem}{side}-{i}.onnx')
                metadata['network'] = json.dumps(_description(network, i))
            contents[name] = _content(block, grid, metadata)
    write_files(contents)
    return tuple(contents)


def _import(package):
    # These packages warn about their own code.
    with quiet():
        return import_package(package, 'writing ONNX files')


def _dimension(block):
    """Return the number of axes of an image; data-side blocks take two."""
    return getattr(block, 'dimension', 2)


def _checked_shape(shape, block):
    """Return a grid as a tuple of a number for each axis."""
    size = block.kernel_size
    if type(block) is AtScales:
        size = block.least_side
    name = f'`shape`, for kernels of side {size},'
    return array_shape(name, shape, _dimension(block), least=size)


def _description(network, block):
    """Return what is needed to run the blocks, for the metadata."""
    description = {
        'n_iterations': network.n_iterations,
        'n_blocks': len(network.blocks),
        'block': block,
        'initial': network.architecture['arguments']['initial'],
    }
    if isinstance(network, LearnedPrimalDual):
        description |= {
            'n_duals': len(network.duals),
            'scales': list(network.scales),
            'dual_memory': network.duals[0].memory,
            'extrapolates': network.extrapolates,
        }
    else:
        description['steps'] = [
            network.step(k).item() for k in range(network.n_iterations)
        ]
    if isinstance(network, LearnedHalfQuadraticSplitting):
        levels = network.relative_levels
        return description | {
            'levels': None if levels is None else levels.tolist(),
            'inner_iterations': network.inner_iterations,
        }
    return description | {'memory': network.memory}


class _Graph(nn.Module):
    """A block as a function of the tensors that it takes."""

    def __init__(self, block):
        super().__init__()
        # kernels made of lowered weights would be rounded twice
        if block.lift.weight.dtype.itemsize < torch.float32.itemsize:
            block = copy.deepcopy(block).float()
        self.block = to_convolutional(block).float().cpu()
        n, memory = block.in_channels, block.memory
        # the number of channels of each input, None for a noise level
        if isinstance(block, DualProximal):
            self.inputs = {'h': n + memory, 'evaluation': n, 'data': n}
            self.outputs = ['new_h']
            return
        self.inputs = {'x': n}
        if block.gradient:
            self.inputs['gradient'] = n
        if memory:
            self.inputs['memory'] = memory
        if block.noise_level:
            self.inputs['sigma'] = None
        self.outputs = ['new_x', 'new_memory'] if memory else ['new_x']

    @property
    def names(self):
        """Names of the inputs, in order."""
        return list(self.inputs)

    def forward(self, *inputs):
        """Return the new image and, if there is one, the new memory."""
        result = self.block(**dict(zip(self.names, inputs, strict=True)))
        return result if len(self.outputs) > 1 else (result,)

    def random_inputs(self, n_images, shape, generator):
        """Return inputs, the noise level positive."""
        inputs = []
        for channels in self.inputs.values():
            is_level = channels is None
            size = (n_images,) if is_level else (n_images, channels, *shape)
            x = torch.randn(size, generator=generator, device='cpu')
            inputs.append(x.abs() if is_level else x)
        return inputs


def _content(block, shape, metadata):
    """Return the content of a file, after checking it."""
    import onnx

    graph = _Graph(block)
    size = block.least_side
    grids = [
        sides[: _dimension(block)]
        for sides in ((size + 4, size + 7, size + 5), (size + 20, size, size))
    ]
    if shape is not None:
        grids = [shape]
    generator = torch.Generator().manual_seed(0)
    example = graph.random_inputs(2, grids[0], generator)
    model = _exported(graph, tuple(example), shape)
    # The exporter stores paths of this machine in each node.
    for node in model.graph.node:
        node.ClearField('metadata_props')
        node.ClearField('doc_string')
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    for grid in grids:
        for n_images in (1, 3):
            _check(
                graph, content, graph.random_inputs(n_images, grid, generator)
            )
    return content


def _exported(graph, example, shape):
    """Export a network with torch's exporter."""
    batch = torch.export.Dim('batch', min=1, max=_LARGEST_SIDE)
    least = graph.block.least_side
    grid, dimension = {}, _dimension(graph.block)
    if shape is None:
        grid = {
            axis: torch.export.Dim(name, min=least, max=_LARGEST_SIDE)
            for axis, name in enumerate(_AXES[:dimension], 2)
        }
    axes = tuple(
        {0: batch} if name == 'sigma' else {0: batch, **grid}
        for name in graph.names
    )
    with _quiet_exporter():
        program = torch.onnx.export(
            graph.eval(),
            example,
            dynamo=True,
            opset_version=_OPSET,
            input_names=graph.names,
            output_names=graph.outputs,
            dynamic_shapes=(axes,),
            verbose=False,
        )
        return program.model_proto


@contextlib.contextmanager
def _quiet_exporter():
    """Silence the messages of torch's exporter."""
    logger = logging.getLogger('torch.onnx._internal.exporter._registration')

    def refuse(record):
        # It says that torchvision is not installed.
        return False

    logger.addFilter(refuse)
    try:
        with (
            # The exporter itself uses what torch has deprecated.
            quiet(category=FutureWarning),
            quiet(category=DeprecationWarning),
            # It warns that inputs share the name of an axis, as they should.
            quiet('.*The axis name: '),
        ):
            yield
    finally:
        logger.removeFilter(refuse)


def _check(graph, content, inputs):
    """Raise an error unless onnxruntime computes what torch does."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    named = {
        name: x.numpy() for name, x in zip(graph.names, inputs, strict=True)
    }
    with torch.no_grad():
        expected = torch.cat(graph(*inputs), 1)
    found = map(torch.from_numpy, session.run(None, named))
    found = torch.cat(list(found), 1)
    gap, size = float((found - expected).norm()), float(expected.norm())
    if not gap <= _TOLERANCE * size:
        raise RuntimeError(
            'no file was written, as the exported network differs from the '
            f'original by {gap:.1e}, of {size:.1e}, for inputs of shape '
            f'{tuple(inputs[0].shape)}, with onnxruntime '
            f'{onnxruntime.__version__} and torch {torch.__version__}'
        )
