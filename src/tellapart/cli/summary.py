"""`tellapart summary`: the network of a model folder, layer by layer."""

from tellapart.cli.options import ModelDir
from tellapart.cli.output import make_console, print_line, print_table


def summary(model: ModelDir) -> None:
    """Show the network in MODEL_DIR layer by layer, with shapes and parameter counts."""
    from tellapart.images.preprocess import format_size
    from tellapart.measure.number_words import count
    from tellapart.predict.bundle import read_bundle

    bundle = read_bundle(model)
    console = make_console()
    size, channels = format_size(bundle.preprocess.image_size), count(bundle.preprocess.channels, "channel")
    print_line(console, f"{model}: {bundle.recipe}, {size} pixels (width x height), {channels}")
    print_line(console, f"Classes: {', '.join(bundle.class_names)}")
    print_table(
        console,
        ("layer", "kind", "output shape", "parameters"),
        [
            (layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), f"{layer.num_parameters:,}")
            for layer in bundle.layers
        ],
    )
    print_line(console, f"Total parameters: {sum(layer.num_parameters for layer in bundle.layers):,}")
