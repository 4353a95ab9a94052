"""How each recipe trains: its network, its optimizer and loss, and its course through the epochs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tellapart.config import ClassicConfig, ScratchConfig
from tellapart.errors import ConfigError
from tellapart.networks.article import build_article_network
from tellapart.networks.backend import Backend, DataFormat, keras
from tellapart.networks.residual import WHITEN_NAME, WHITEN_SIZE, build_residual_network, whitening_filters
from tellapart.randomness import named_generator
from tellapart.training import hyperparameters
from tellapart.training.classic import ClassicCourse
from tellapart.training.fit import Course, FitData
from tellapart.training.plan import VIEW_WIDTH, Plan
from tellapart.training.scratch import CourseSettings, ScratchCourse
from tellapart.training.step import open_step
from tellapart.translation import gettext as _

NetworkConfig = ClassicConfig | ScratchConfig


@dataclass(frozen=True)
class NetworkDesign:
    """A network that is trained epoch by epoch.

    Attributes:
        build_network: from `((height, width, channels), num_classes, data_format)` to a model.
        min_side: the smallest height and width the network can take, in pixels.
    """

    build_network: Callable[[tuple[int, int, int], int, DataFormat], keras.Model]
    min_side: int


RECIPES = {
    "classic": NetworkDesign(build_article_network, min_side=46),
    "scratch": NetworkDesign(build_residual_network, min_side=32),
}

_OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adadelta": keras.optimizers.Adadelta,
    "adagrad": keras.optimizers.Adagrad,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}

_NUM_WHITENED = 400
# On a GPU a step of 32 photos leaves most of it idle, but few photos in large batches make few steps. Not measured.
_GPU_BATCH_FACTOR, _LEAST_STEPS_AN_EPOCH = 8, 25


def build_network(
    config: NetworkConfig, num_classes: int, data_format: DataFormat, plan: Plan | None = None
) -> keras.Model:
    """The recipe's network for photos of the configured size, with fresh weights, not compiled.

    Args:
        config: of `scratch`, with an image size.
        num_classes: 2 or more.
        data_format: where the convolutions have their channel axis.
        plan: of `scratch`, which says how wide its network is.

    Raises:
        ConfigError: the image size is too small for the network.
    """
    check_image_size(config)
    assert config.image_size is not None
    shape = (*config.image_size, config.channels)
    if plan is not None:
        return build_residual_network(shape, num_classes, data_format, plan.width)
    return RECIPES[config.recipe].build_network(shape, num_classes, data_format)


def check_image_size(config: NetworkConfig) -> None:
    """Nothing, if the recipe's network takes images of the configured size, or the recipe chooses the size.

    Raises:
        ConfigError: they are too small.
    """
    min_side = RECIPES[config.recipe].min_side
    if config.image_size is not None and min(config.image_size) < min_side:
        side = min(config.image_size)
        raise ConfigError(
            _("`image_size` {side} is too small for the recipe {recipe!r}. It needs at least {least}.").format(
                side=side, recipe=config.recipe, least=min_side
            ),
            field="image_size",
            value=config.image_size,
        )


def compile_network(model: keras.Model, config: NetworkConfig) -> None:
    """Gives `model` its loss, the accuracy metric and the recipe's optimizer with fresh state."""
    if isinstance(config, ScratchConfig):
        optimizer = keras.optimizers.SGD(
            hyperparameters.LEARNING_RATE,
            hyperparameters.MOMENTUM,
            nesterov=True,
            weight_decay=hyperparameters.WEIGHT_DECAY,
        )
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        loss = "categorical_crossentropy"
    else:
        optimizer = _OPTIMIZERS[config.optimizer](learning_rate=config.learning_rate)
        loss = "binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy"
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)


def make_learner(config: NetworkConfig, data: FitData, backend: Backend, plan: Plan | None) -> keras.Model:
    """The network that is trained, compiled; that of `scratch` takes images of any size and has its first filters.

    Args:
        config: of either recipe.
        data: photos and split.
        backend: what learning runs on.
        plan: of `scratch`; `None` for `classic`.

    Raises:
        ConfigError: the image size is too small for the network.
    """
    num_classes = len(data.images.photos.class_names)
    if isinstance(config, ClassicConfig):
        model = build_network(config, num_classes, backend.data_format)
    else:
        assert plan is not None
        model = make_scratch_network(config, num_classes, backend, plan.width)
        if hyperparameters.IS_WHITENED:
            rows = named_generator(config.seed, "whitened").permutation(data.split.train)[:_NUM_WHITENED]
            generator = named_generator(config.seed, "whitening")
            filters = whitening_filters(data.images.gather(rows), WHITEN_SIZE, generator)
            model.get_layer(WHITEN_NAME).set_weights([filters])
        else:
            model.get_layer(WHITEN_NAME).trainable = True
    compile_network(model, config)
    return model


def make_scratch_network(
    config: ScratchConfig, num_classes: int, backend: Backend, width: int = VIEW_WIDTH
) -> keras.Model:
    """The network of `scratch` for images of any size, not compiled; on a GPU it computes in half precision."""
    check_image_size(config)
    with _precision(backend):
        return build_residual_network((None, None, config.channels), num_classes, backend.data_format, width)


@contextmanager
def open_course(
    model: keras.Model, data: FitData, config: NetworkConfig, backend: Backend, plan: Plan | None
) -> Iterator[Course]:
    """How the recipe goes about the training of `model`.

    Args:
        model: from `make_learner`; its weights and optimizer are changed.
        data: photos and split.
        config: of `scratch`, with an image size.
        backend: what learning runs on.
        plan: of `scratch`; `None` for `classic`.
    """
    if isinstance(config, ClassicConfig):
        yield ClassicCourse(model, data, config)
        return
    assert plan is not None
    plan = plan.with_crops(flip=config.flip, **({"rotation_degrees": 180.0} if config.rotations else {}))
    settings = CourseSettings(plan, batch_size(backend, len(data.split.train)), config.seed)
    with open_step(model, backend) as step:
        yield ScratchCourse(model, step, data, settings)


def batch_size(backend: Backend, num_train: int) -> int:
    """Photos a step of `scratch`, of so many to train: on a GPU up to 8 times as many as on a CPU, if it has enough."""
    if backend.device == "cpu":
        return hyperparameters.BATCH_SIZE
    factor = num_train // (_LEAST_STEPS_AN_EPOCH * hyperparameters.BATCH_SIZE)
    return hyperparameters.BATCH_SIZE * min(max(1, factor), _GPU_BATCH_FACTOR)


@contextmanager
def _precision(backend: Backend) -> Iterator[None]:
    """On a GPU, layers made meanwhile compute in float16 over float32 weights (Micikevicius et al. 2018)."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if backend.device == "cpu" else "mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
