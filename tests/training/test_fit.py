import threading
import time
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from tellapart.config import ClassicConfig
from tellapart.networks.backend import find_backend, reproducible
from tellapart.records import EpochRecord, StepRecord
from tellapart.training.classic import ClassicCourse
from tellapart.training.fit import Batch, FitData, fit_epochs, predict_probabilities, prepare_ahead
from tellapart.training.recipes import build_network, compile_network


def start(config: ClassicConfig) -> keras.Model:
    with reproducible(config.seed):
        model = build_network(config, 2, find_backend().data_format)
        compile_network(model, config)
    return model


def weights_after(data: FitData, config: ClassicConfig) -> list[np.ndarray]:
    model = start(config)
    for _ in fit_epochs(data, ClassicCourse(model, data, config)):
        pass
    return model.get_weights()


def test_there_is_a_record_an_epoch_with_finite_numbers(tiny_data: FitData, tiny_config: ClassicConfig) -> None:
    records = list(fit_epochs(tiny_data, ClassicCourse(start(tiny_config), tiny_data, tiny_config)))
    assert [record.epoch for record in records] == [1, 2]
    assert np.isfinite([[r.train_loss, r.validation_loss, r.images_per_second] for r in records]).all()


def test_every_step_is_reported_with_its_number(tiny_data: FitData, tiny_config: ClassicConfig) -> None:
    steps: list[StepRecord] = []
    list(fit_epochs(tiny_data, ClassicCourse(start(tiny_config), tiny_data, tiny_config), (), steps.append))
    num_steps = -(-len(tiny_data.split.train) // tiny_config.batch_size)
    assert [(s.epoch, s.step) for s in steps] == [(e, s) for e in (1, 2) for s in range(1, num_steps + 1)]
    assert steps[-1].seconds_left == 0


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tiny_data: FitData, tiny_config: ClassicConfig) -> None:
    for one, other in zip(weights_after(tiny_data, tiny_config), weights_after(tiny_data, tiny_config), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_weights(tiny_data: FitData, tiny_config: ClassicConfig) -> None:
    one, other = weights_after(tiny_data, tiny_config), weights_after(tiny_data, replace(tiny_config, seed=1))
    assert np.abs(one[0] - other[0]).max() > 1e-3


def test_train_loss_and_accuracy_are_means_over_the_photos_of_the_epoch(
    tiny_data: FitData, tiny_config: ClassicConfig
) -> None:
    config = replace(tiny_config, epochs=1, learning_rate=1e-12, augment=None)
    model = start(config)
    # Without dropout and with a vanishing step, the training figures are those of the untouched network.
    model.get_layer("dropout").rate = 0.0
    rows = tiny_data.split.train
    probabilities, labels = predict_probabilities(model, tiny_data.images, rows), tiny_data.labels[rows]
    (record,) = fit_epochs(tiny_data, ClassicCourse(model, tiny_data, config))
    assert record.train_loss == pytest.approx(-np.log(probabilities[np.arange(len(rows)), labels]).mean(), rel=1e-4)
    assert record.train_accuracy == pytest.approx((probabilities.argmax(axis=1) == labels).mean())


def test_it_learns_the_photos_it_is_shown(tiny_data: FitData, tiny_config: ClassicConfig) -> None:
    config = replace(tiny_config, epochs=40, learning_rate=1e-3, augment=None)
    model = start(config)
    model.get_layer("dropout").rate = 0.0
    records: list[EpochRecord] = list(fit_epochs(tiny_data, ClassicCourse(model, tiny_data, config)))
    assert records[-1].train_accuracy > 0.9
    assert records[-1].train_loss < 0.5 * records[0].train_loss


def test_probabilities_of_two_classes_have_two_columns_that_sum_to_one(
    tiny_data: FitData, tiny_config: ClassicConfig
) -> None:
    probabilities = predict_probabilities(start(tiny_config), tiny_data.images, tiny_data.split.validation)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(len(tiny_data.split.validation)), rtol=1e-6)


def test_a_mirrored_prediction_rests_on_the_mean_logits_of_both_views(
    tiny_data: FitData, tiny_config: ClassicConfig
) -> None:
    model, rows = start(tiny_config), tiny_data.split.validation
    plain = predict_probabilities(model, tiny_data.images, rows)
    mirrored = tiny_data.images.gather(rows)[:, :, ::-1]
    other = np.asarray(keras.ops.convert_to_numpy(model.predict_on_batch(np.ascontiguousarray(mirrored))))[:, 0]
    logits = (np.log(plain[:, 1] / plain[:, 0]) + np.log(other / (1 - other))) / 2
    found = predict_probabilities(model, tiny_data.images, rows, mirrored=True)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-4)


def empty_batch(start: int) -> Batch:
    """A batch that says which one it is by its progress; later ones are prepared faster."""
    time.sleep(0.02 / (1 + start))
    return Batch(np.empty((0, 2, 2, 3), np.uint8), np.empty(0, np.int64), float(start))


@pytest.fixture(params=[1, 3, 64], ids=["one core", "three cores", "many cores"])
def num_cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("tellapart.training.fit.num_cores", lambda: request.param)
    return int(request.param)


@pytest.mark.usefixtures("num_cores")
@pytest.mark.parametrize("num_batches", [0, 1, 2, 7, 8])
def test_prepared_batches_come_in_order(num_batches: int) -> None:
    prepared = [batch.progress for batch in prepare_ahead(empty_batch, range(num_batches))]
    assert prepared == list(range(num_batches))


def test_batches_are_prepared_before_they_are_asked_for_but_not_all_of_them(num_cores: int) -> None:
    begun: list[int] = []
    enough, num_together = threading.Event(), min(num_cores, 4)

    def prepare(start: int) -> Batch:
        begun.append(start)
        enough.set() if len(begun) > 5 + num_together else None
        return empty_batch(start)

    batches = prepare_ahead(prepare, range(100))
    for _ in range(5):
        next(batches)
    assert enough.wait(60)
    batches.close()
    assert len(begun) <= 5 + 2 * num_together


@pytest.mark.usefixtures("num_cores")
def test_an_error_in_a_batch_comes_out_in_its_place() -> None:
    def prepare(start: int) -> Batch:
        if start == 3:
            raise ZeroDivisionError
        return empty_batch(start)

    batches = prepare_ahead(prepare, range(9))
    assert [next(batches).progress for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(batches)


@pytest.mark.usefixtures("num_cores")
def test_opencv_has_its_threads_again_afterwards_and_ours_are_gone() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    batches = prepare_ahead(empty_batch, range(9))
    next(batches)
    assert cv2.getNumThreads() == 1
    batches.close()
    assert cv2.getNumThreads() == 4
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("augment")]
    cv2.setNumThreads(before)
