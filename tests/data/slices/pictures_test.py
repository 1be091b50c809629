# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of pictures as images."""

import pickle
import struct
import warnings

import numpy as np
import pytest

from odl_equivariant.data import ImageSlices

Image = pytest.importorskip('PIL.Image')


def rows_of(shape=(5, 7), most=255, dtype='uint8'):
    """Return random rows of a picture, the first one at the top."""
    return np.random.default_rng(0).integers(0, most, shape).astype(dtype)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp', 'webp', 'PNG'])
def test_axes_point_to_the_right_and_upwards(suffix, tmp_path):
    """The first index is the column, the last row comes first."""
    rows = rows_of()
    options = {'lossless': True} if suffix == 'webp' else {}
    Image.fromarray(rows).save(tmp_path / f'a.{suffix}', **options)
    image = ImageSlices(tmp_path)[0]
    assert image.shape == (7, 5) and image.dtype == np.float32
    for i in range(7):
        for j in range(5):
            assert image[i, j] == np.float32(rows[4 - j, i]) / 255


def test_sixteen_bits_keep_their_precision(tmp_path):
    """White of a 16-bit picture is 65535."""
    rows = rows_of(most=65535, dtype='uint16')
    rows[0, 0] = 65535
    Image.fromarray(rows).save(tmp_path / 'a.png')
    image = ImageSlices(tmp_path)[0]
    assert np.allclose(image, rows[::-1].T / 65535, atol=1e-7)
    assert image[0, -1] == 1


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('n_bits', [8, 16])
def test_negatives_are_inverted(n_bits, order, tmp_path):
    """Where a TIFF file says that 0 is white, it is 1."""
    rows = rows_of(most=2**n_bits, dtype=f'uint{n_bits}')
    for name, photometric in (('negative.tif', 0), ('positive.tif', 1)):
        write_tiff(tmp_path / name, rows, photometric, order)
    slices = ImageSlices(tmp_path)
    expected = rows[::-1].T / (2**n_bits - 1)
    np.testing.assert_allclose(slices[len(slices) - 1], expected, atol=1e-6)
    if slices.index.skipped:
        # pillow does not read them
        assert (n_bits, order) == (16, '>')
        assert slices.index.skipped[0][0] == 'negative.tif'
        return
    np.testing.assert_allclose(slices[0], 1 - expected, atol=1e-6)
    assert len(slices) == 2 and slices[0].dtype == np.float32


def write_tiff(path, rows, photometric, order):
    """Write a grey picture, in an order of bytes, by hand."""
    n, m = rows.shape
    data = rows.astype(rows.dtype.newbyteorder(order)).tobytes()
    values = {
        256: m, 257: n, 258: 8 * rows.itemsize, 259: 1, 262: photometric,
        273: 8, 277: 1, 278: n, 279: len(data),
    }  # fmt: skip
    header = {'<': b'II*\0', '>': b'MM\0*'}[order]
    content = header + struct.pack(order + 'I', 8 + len(data)) + data
    content += struct.pack(order + 'H', len(values))
    for tag, value in values.items():
        content += struct.pack(order + 'HHII', tag, 4, 1, value)
    path.write_bytes(content + bytes(4))


def test_floating_point_values_are_kept(tmp_path):
    """A picture of numbers has no white."""
    rows = 1000 * np.random.default_rng(0).normal(size=(3, 4))
    Image.fromarray(rows.astype('float32')).save(tmp_path / 'a.tif')
    image = ImageSlices(tmp_path)[0]
    assert np.array_equal(image, rows.astype('float32')[::-1].T)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P', 'CMYK'])
def test_colours_become_grey(mode, tmp_path):
    """The luminance is the weighted mean of red, green and blue."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    picture = Image.new('RGB', (4, 1))
    picture.putdata(colours)
    picture.convert(mode).save(tmp_path / 'a.tif')
    image = ImageSlices(tmp_path)[0]
    assert np.allclose(image[:, 0], [0.299, 0.587, 0.114, 1], atol=0.003)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
def test_all_pages_of_a_file_are_images(dtype, tmp_path):
    """The pages of a TIFF file are one group, and keep their order."""
    rows = [rows_of((5, 7 + i), 200, dtype) for i in range(3)]
    pages = [Image.fromarray(one) for one in rows]
    pages[0].save(tmp_path / 'a.tif', save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / 'b.tif')
    slices = ImageSlices(tmp_path, scale=1.0)
    assert slices.names == ['a.tif#0', 'a.tif#1', 'a.tif#2', 'b.tif']
    assert slices.groups == 3 * ['a.tif'] + ['b.tif']
    white = {'uint8': 255, 'uint16': 65535, 'float32': 1}[dtype]
    for image, one in zip(slices, [*rows, rows[0]], strict=True):
        np.testing.assert_allclose(image, one[::-1].T / white, rtol=1e-6)
    again = ImageSlices(tmp_path, scale=1.0)
    assert again.names == slices.names and again.index.n_files == 2


def test_smaller_copies_are_no_images(tmp_path):
    """The thumbnail in a TIFF file is not an image of its own."""
    page = Image.fromarray(rows_of((8, 8)))
    small = page.resize((4, 4))
    small.encoderinfo = {'tiffinfo': {254: 1}}
    page.save(tmp_path / 'a.tif', save_all=True, append_images=[small])
    slices = ImageSlices(tmp_path)
    assert slices.names == ['a.tif'] and slices[0].shape == (8, 8)
    # ... wherever it lies
    small.encoderinfo, page.encoderinfo = {}, {'tiffinfo': {254: 0}}
    small.save(
        tmp_path / 'a.tif',
        save_all=True,
        append_images=[page],
        tiffinfo={254: 1},
    )
    slices = ImageSlices(tmp_path)
    assert slices.names == ['a.tif'] and slices[0].shape == (8, 8)


def test_twelve_bits_in_sixteen_are_named(tmp_path):
    """Pictures that are all dark give one warning, unless there is a scale."""
    for i in range(2):
        rows = rows_of(most=4095, dtype='uint16')
        Image.fromarray(rows).save(tmp_path / f'{i}.png')
    with pytest.warns(UserWarning, match='none of the 2 pictures') as record:
        ImageSlices(tmp_path)
    assert len(record) == 1 and record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ImageSlices(tmp_path, scale=65535 / 4095)
        Image.fromarray(rows_of(most=65535, dtype='uint16')).save(
            tmp_path / '2.png'
        )
        ImageSlices(tmp_path)


def test_black_and_white(tmp_path):
    """A picture of one bit has the values 0 and 1."""
    rows = rows_of() > 100
    Image.fromarray(rows).save(tmp_path / 'a.png')
    assert np.array_equal(ImageSlices(tmp_path)[0], rows[::-1].T)


def test_photographs_are_upright(tmp_path):
    """The orientation that a camera has noted is applied."""
    rows = np.zeros((16, 24), 'uint8')
    rows[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(rows).save(tmp_path / 'a.jpg', exif=exif, quality=100)
    image = ImageSlices(tmp_path)[0]
    expected = np.rot90(rows, -1)[::-1].T / 255
    assert image.shape == (16, 24)
    assert np.allclose(image, expected, atol=0.05)


def test_damaged_files_are_skipped(tmp_path):
    """They are listed with the reason, and the others are read."""
    Image.fromarray(rows_of((40, 50))).save(tmp_path / 'good.png')
    content = (tmp_path / 'good.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(content[: len(content) // 2])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    Image.fromarray(rows_of(dtype='int32')).save(tmp_path / 'wide.tif')
    (tmp_path / 'notes.txt').write_text('no picture')
    slices = ImageSlices(tmp_path)
    assert slices.names == ['good.png']
    skipped = dict(slices.index.skipped)
    assert skipped.keys() == {'cut.png', 'empty.jpg', 'wide.tif'}
    assert 'white is not known' in skipped['wide.tif']


def test_folder_without_pictures(tmp_path):
    """The error says what was looked for."""
    with pytest.raises(ValueError, match=r'no image could be used.*\.png'):
        ImageSlices(tmp_path)


def test_vanished_file_is_named(tmp_path):
    """A file that is gone since it was indexed is an error on access."""
    Image.fromarray(rows_of()).save(tmp_path / 'a.png')
    slices = ImageSlices(tmp_path)
    (tmp_path / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.png is gone'):
        slices[0]


def test_pickles_and_shapes(tmp_path):
    """Workers read the same images, on a grid if one is given."""
    for name in 'ab':
        Image.fromarray(rows_of((30, 20))).save(tmp_path / f'{name}.png')
    slices = ImageSlices(tmp_path, shape=(10, 10))
    again = pickle.loads(pickle.dumps(slices))
    assert again.names == again.groups == ['a.png', 'b.png']
    assert slices[1].shape == (10, 10)
    assert np.array_equal(slices[1], again[1])
