"""What a tile adds to the moments of an ensemble."""

from fastrev.kernels.jit import inlined, inner_borrower
from fastrev.kernels.sums import power_sums, power_sums_f32, product_sum, product_sum_f32


@inner_borrower
def add_moments(numbers, x, tau, table, k, work):
    """Add a tile x (d, B) to `numbers`, laid out as model/moments.py says.

    table is the reference point and, for float32 alone, 1/scale at each time, (F, d)
    """
    d, points = len(x), table[0][k]
    numbers[0] += x.shape[1]
    for j in range(d):
        _add_powers(numbers, d, j, points[j], power_sums(x[j], points[j]))
        for i in range(j):
            _add_product(numbers, d, j, i, product_sum(x[j], x[i], points[j], points[i]))


@inner_borrower
def add_moments_f32(numbers, x, tau, table, k, work):
    """The same for float32."""
    d, points, inverses = len(x), table[0][k], table[1][k]
    numbers[0] += x.shape[1]
    for j in range(d):
        _add_powers(numbers, d, j, points[j], power_sums_f32(x[j], points[j], inverses[j]))
        for i in range(j):
            s = product_sum_f32(x[j], x[i], points[j], points[i], inverses[j], inverses[i])
            _add_product(numbers, d, j, i, s)


@inlined
def _add_powers(numbers, d, j, point, sums):
    s1, s2, s3, s4 = sums
    products = 1 + 2 * d  # where these begin
    numbers[1 + j] = point
    numbers[1 + d + j] += s1
    numbers[products + j * d + j] += s2
    numbers[products + d * d + j] += s3
    numbers[products + d * d + d + j] += s4


@inlined
def _add_product(numbers, d, j, i, s):
    products = 1 + 2 * d
    numbers[products + j * d + i] += s
    numbers[products + i * d + j] += s
