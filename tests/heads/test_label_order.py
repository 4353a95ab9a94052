import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.heads.label_order import order_to_label


def drawn(seed: int, num_photos: int, num_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(num_classes), num_photos).astype(np.float32)
    return probabilities, generator.normal(0, 1, (num_photos, 8)).astype(np.float32)


@given(st.integers(0, 1000), st.integers(1, 1500))
@settings(max_examples=20, deadline=None)
def test_each_photo_is_in_the_order_once_and_the_least_sure_one_is_first(seed: int, num_photos: int) -> None:
    probabilities, embeddings = drawn(seed, num_photos)
    order = order_to_label(probabilities, embeddings)
    assert sorted(order.tolist()) == list(range(num_photos))
    best = np.sort(probabilities, axis=1)
    assert order[0] == np.argmin(best[:, -1] - best[:, -2])


def test_near_copies_of_the_least_sure_photo_do_not_fill_the_first_screen() -> None:
    probabilities, embeddings = drawn(0, 300)
    probabilities[:40], embeddings[:40] = (0.334, 0.334, 0.332), embeddings[0]
    first = order_to_label(probabilities, embeddings)[:12]
    assert (first < 40).sum() == 1


def test_photos_the_model_is_sure_of_come_last() -> None:
    probabilities, embeddings = drawn(2, 400)
    probabilities[:50] = (0.98, 0.01, 0.01)
    assert (order_to_label(probabilities, embeddings)[:240] >= 50).all()
