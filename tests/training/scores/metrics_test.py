# Copyright 2026 The odl_equivariant contributors
#
# This file is part of odl_equivariant.
#
# This Source Code Form is subject to the terms of the Mozilla Public License,
# v. 2.0. If a copy of the MPL was not distributed with this file, You can
# obtain one at https://mozilla.org/MPL/2.0/.
"""Laws of the scores."""

import numpy as np
import pytest
import torch

from odl_equivariant.training import scores
from odl_equivariant.training.scores.metrics import has_range, magnitude


def test_psnr_by_its_formula(rng):
    """The peak is the maximum of the truth, image by image."""
    truth = torch.from_numpy(rng.random((3, 1, 16, 12), dtype='float32'))
    truth *= torch.tensor([1.0, 5.0, 0.1]).reshape(3, 1, 1, 1)
    image = truth + 0.05 * torch.randn_like(truth)
    mse = (image - truth).square().mean((1, 2, 3))
    expected = 10 * torch.log10(truth.amax((1, 2, 3)) ** 2 / mse)
    result = scores(image, truth)
    assert result['psnr'].shape == result['ssim'].shape == (3,)
    torch.testing.assert_close(result['psnr'], expected)


def test_scores_do_not_depend_on_the_unit():
    """Data ranges are those of the reference image."""
    truth = torch.rand(2, 1, 20, 20)
    image = truth + 0.1 * torch.randn_like(truth)
    one, other = scores(image, truth), scores(1000 * image, 1000 * truth)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=0)


def test_perfect_image():
    """The similarity of an image with itself is 1."""
    truth = torch.rand(1, 1, 16, 16)
    assert float(scores(truth, truth)['ssim']) == pytest.approx(1)


def test_complex_images_by_magnitude():
    """The phase of a complex image does not count."""
    real = torch.rand(2, 1, 16, 16)
    noisy = (real + 0.1 * torch.randn_like(real)).abs()
    phase = np.exp(0.7j)
    turned = [
        torch.cat([x * phase.real, x * phase.imag], 1) for x in (noisy, real)
    ]
    torch.testing.assert_close(magnitude(turned[1]), real)
    expected, result = scores(noisy, real), scores(*turned)
    for name in expected:
        torch.testing.assert_close(result[name], expected[name])


@pytest.mark.parametrize('value', [0.0, 1.0, -1.0])
def test_truth_without_a_range(value):
    """Scores relative to no range are no number, and others are as ever."""
    truth = torch.rand(3, 1, 16, 16)
    image = truth + 0.1 * torch.randn_like(truth)
    truth[1] = value
    assert has_range(truth).tolist() == [True, False, True]
    result = scores(image, truth)
    for name, expected in scores(image[::2], truth[::2]).items():
        assert result[name].isnan().tolist() == [False, True, False]
        assert torch.equal(result[name][::2], expected)


def test_complex_truth_without_a_range():
    """A phase is no range, and a complex image of zeros has none."""
    phase = torch.rand(1, 16, 16)
    truth = torch.stack(
        [torch.cat([phase.cos(), phase.sin()]), torch.zeros(2, 16, 16)]
    )
    truth[0] *= 0.5
    truth[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    assert has_range(truth).tolist() == [True, False]


def test_result_that_is_not_finite():
    """It has scores that are not finite, which is no matter of the truth."""
    truth = torch.rand(1, 1, 16, 16)
    assert has_range(truth).all()
    assert scores(truth * torch.nan, truth)['psnr'].isnan().all()


def test_image_smaller_than_the_window():
    """An image must hold the window of the similarity."""
    with pytest.raises(ValueError, match=r'at least 11 x 11.*\(10, 16\)'):
        scores(torch.rand(1, 1, 10, 16), torch.rand(1, 1, 10, 16))
