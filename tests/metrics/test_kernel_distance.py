"""The kernel distance: its formula, what it is about 0 for, and how far its intervals can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics.pairwise import polynomial_kernel

from jurat.metrics import distance_difference, kernel_distance


def drawn(seed: int, n: int, shift: float = 0.0, width: int = 6) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, width)) + 1.0
    found[:, 0] += shift
    return found


def unbiased(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate pair by pair, with the kernel of scikit-learn."""
    x, y = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, y))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return polynomial_kernel(a, b, degree=3, gamma=1.0, coef0=1.0)

    def off(a: np.ndarray) -> float:
        pairs = [kernel(a, a)[i, j] for i in range(len(a)) for j in range(len(a)) if i != j]
        return float(np.mean(pairs))

    return off(x) + off(y) - 2 * float(kernel(x, y).mean())


def test_value_and_those_without_a_cluster_are_those_of_the_formula() -> None:
    x, y = drawn(1, 9, 0.7), drawn(2, 7)
    names = ["a", "a", "b", "b", "b", "c", "c", "d", "d"]
    found = kernel_distance(x, y, names)
    assert found.value == pytest.approx(unbiased(x, y)) and (found.n, found.m) == (9, 7)
    kept = [x[[name != out for name in names]] for out in "abcd"]
    assert found.without == pytest.approx([unbiased(each, y) for each in kept])
    assert found.without_real == pytest.approx([unbiased(x, np.delete(y, i, 0)) for i in range(7)])
    assert found.interval.low < found.value < found.interval.high
    assert kernel_distance(3 * x, y, names).value == pytest.approx(found.value), "lengths do not count"


def test_pictures_of_one_kind_are_as_often_below_zero() -> None:
    values = [kernel_distance(drawn(2 * s, 20), drawn(2 * s + 1, 30)).value for s in range(200)]
    assert 0.25 < np.mean(np.array(values) < 0) < 0.75
    assert abs(np.mean(values)) < norm.ppf(0.9995) * np.std(values) / len(values) ** 0.5


def test_intervals_hold_the_distance_of_many_pictures() -> None:
    truth = kernel_distance(drawn(10_000, 1500, 0.8), drawn(10_001, 1500)).value
    held = [
        truth in kernel_distance(drawn(2 * s, 40, 0.8), drawn(2 * s + 1, 60)).interval for s in range(300)
    ]
    assert 0.92 <= np.mean(held) <= 0.985, np.mean(held)


def test_difference_is_paired() -> None:
    x, y = drawn(1, 40), drawn(2, 60)
    near, far = kernel_distance(x, y), kernel_distance(x + 2.0 * np.eye(6)[0], y)
    found = distance_difference(far, near)
    assert found.value == pytest.approx(far.value - near.value) and found.interval.low > 0 and found.p < 0.001
    same = distance_difference(near, near)
    assert (same.value, same.p) == (0, 1)
    with pytest.raises(ValueError, match="the same clusters"):
        distance_difference(near, kernel_distance(x[:-1], y))


def test_one_cluster_has_no_interval() -> None:
    found = kernel_distance(drawn(1, 4), drawn(2, 5), ["a"] * 4)
    assert np.isfinite(found.value) and np.isnan([found.interval.low, found.interval.high]).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((1, 6)), "two rows or more"),
        (np.ones((3, 5)), "one width"),
        (np.ones(6), "shape"),
        (np.zeros((3, 6)), "nothing but zeros"),
        (np.full((3, 6), np.nan), "no numbers"),
    ],
)
def test_what_has_no_distance_is_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel_distance(x, drawn(2, 7))
