"""The one damped Newton against closed forms, bounded least squares, and functions it must not claim to solve."""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from dfslab.metrics import damped_newton


def quadratic(a, b):
    return lambda x: (x @ a @ x / 2 - b @ x, a @ x - b, lambda: a)


def logistic(design, yes, ridge):
    """Penalised logistic regression: value, gradient and Hessian."""

    def loss(x):
        z = design @ x
        p = 1 / (1 + np.exp(-z))
        value = np.logaddexp(0, z).sum() - yes @ z + ridge * x @ x / 2
        return (
            value,
            design.T @ (p - yes) + ridge * x,
            lambda: (design.T * (p * (1 - p))) @ design + ridge * np.eye(len(x)),
        )

    return loss


def test_a_quadratic_is_solved_in_one_step():
    a, b = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    found = damped_newton(quadratic(a, b), [100.0, -50.0], error=1e-9, max_steps=2)
    np.testing.assert_allclose(found.x, np.linalg.solve(a, b))
    assert found.converged


@pytest.mark.parametrize("start", [0.0, 30.0])
def test_logistic_regression_agrees_with_a_method_without_hessians(start):
    rng = np.random.default_rng(4)
    design, yes = rng.normal(size=(80, 4)), rng.random(80) < 0.4
    loss = logistic(design, yes, 0.5)
    found = damped_newton(loss, np.full(4, start), error=1e-10)
    slow = minimize(lambda x: loss(x)[:2], np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.x, slow.x, atol=1e-7)
    by_decrement = damped_newton(loss, np.full(4, start), tolerance=1e-20)
    np.testing.assert_allclose(by_decrement.x, found.x, atol=1e-9)
    assert found.converged and by_decrement.converged


def test_bounds_give_nonnegative_least_squares():
    rng = np.random.default_rng(2)
    for _ in range(20):
        design, goal = rng.normal(size=(30, 5)), rng.normal(size=30)
        objective = quadratic(design.T @ design, design.T @ goal)
        found = damped_newton(objective, np.ones(5), tolerance=1e-16, lower=np.zeros(5))
        np.testing.assert_allclose(found.x, nnls(design, goal)[0], atol=1e-6)


def test_a_reach_bounds_every_step():
    seen = []

    def objective(x):
        seen.append(x)
        return quadratic(np.eye(2), np.array([10.0, -10.0]))(x)

    found = damped_newton(objective, [0.0, 0.0], error=1e-9, reach=1.5)
    assert np.abs(np.diff(seen, axis=0)).max() <= 1.5 + 1e-12
    np.testing.assert_allclose(found.x, [10, -10])


def test_a_function_without_minimum_is_not_called_solved():
    falling = damped_newton(lambda x: (np.exp(-x[0]), -np.exp(-x), lambda: np.exp(-x)[:, None]), [0.0], max_steps=20)
    assert not falling.converged
    assert not damped_newton(lambda x: (-np.inf, x + 1, lambda: np.eye(1)), [0.0]).converged

    def singular():
        raise np.linalg.LinAlgError

    assert not damped_newton(lambda x: (0.0, x + 1, singular), [0.0]).converged
