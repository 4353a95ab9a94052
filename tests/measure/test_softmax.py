import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import softmax as scipy_softmax

from tellapart.measure.softmax import softmax, temper, to_logits

LOGITS = arrays(np.float64, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-50, 50))


@given(LOGITS, st.floats(0.1, 10))
def test_softmax_is_that_of_scipy_at_a_temperature(logits: np.ndarray, temperature: float) -> None:
    found = softmax(logits, temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scipy_softmax(logits / temperature, axis=1), atol=1e-6)


@given(LOGITS, st.floats(0.5, 10))
def test_tempered_probabilities_are_those_of_divided_logits(logits: np.ndarray, temperature: float) -> None:
    np.testing.assert_allclose(temper(softmax(logits), temperature), softmax(logits, temperature), atol=1e-4)


def test_a_temperature_of_1_changes_no_digit() -> None:
    probabilities = np.array([[0.1, 0.9]], np.float32)
    assert temper(probabilities, 1.0) is probabilities


def test_a_probability_of_0_has_a_finite_logit() -> None:
    assert np.isfinite(to_logits(np.array([[0.0, 1.0]], np.float32))).all()
