from __future__ import annotations

import pytest

from benchmarks.kernels import KERNELS, Kernel


def counted(kernel: Kernel) -> int:
    """Count the taps of a padded convolution that meet a pixel, one by one."""
    n, before = kernel.pixels, (kernel.size - 1) // 2
    taps = [(l, j) for l in range(n) for j in range(kernel.size) if 0 <= l + j - before < n]  # noqa: E741
    return 16 * kernel.channels * kernel.channels * len(taps) ** 2


@pytest.mark.parametrize("kernel", [*KERNELS, Kernel(1, 2, 3), Kernel(3, 1, 2), Kernel(7, 2, 9)], ids=lambda k: k.title)
def test_multiply_adds_are_those_that_meet_a_pixel(kernel: Kernel) -> None:
    assert kernel.multiply_adds == counted(kernel)


def test_every_kernel_has_a_name_of_its_own() -> None:
    names = [kernel.name for kernel in KERNELS]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if name.startswith("kernels-3x3")] == [
        "kernels-3x3-16",
        "kernels-3x3-64",
        "kernels-3x3-256",
    ]
