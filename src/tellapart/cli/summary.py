"""`tellapart summary`: the network of a model folder, layer by layer."""

from tellapart.cli.options import ModelDir
from tellapart.cli.output import make_console, print_line, print_table
from tellapart.translation import gettext as _
from tellapart.translation import ngettext


def summary(model: ModelDir) -> None:
    """Show the network in MODEL_DIR layer by layer, with shapes and parameter counts."""
    from tellapart.images.preprocess import format_size
    from tellapart.predict.bundle import read_bundle

    bundle = read_bundle(model)
    console = make_console()
    said = ngettext(
        "{folder}: {recipe}, {size} pixels (width x height), {num} channel",
        "{folder}: {recipe}, {size} pixels (width x height), {num} channels",
        bundle.preprocess.channels,
    )
    size = format_size(bundle.preprocess.image_size)
    print_line(console, said.format(folder=model, recipe=bundle.recipe, size=size, num=bundle.preprocess.channels))
    print_line(console, _("Classes: {names}").format(names=", ".join(bundle.class_names)))
    print_table(
        console,
        (_("layer"), _("kind"), _("output shape"), _("parameters")),
        [
            (layer.name, layer.kind, " x ".join(map(str, layer.output_shape)), f"{layer.num_parameters:,}")
            for layer in bundle.layers
        ],
    )
    num_parameters = sum(layer.num_parameters for layer in bundle.layers)
    print_line(console, _("Total parameters: {num:,}").format(num=num_parameters))
