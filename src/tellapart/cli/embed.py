"""`tellapart embed`: the vectors themselves, for people who want to do something else with them."""

from pathlib import Path
from typing import Annotated

import typer

from tellapart.cli.cluster import ListFlags, print_job, require_list, with_cluster_flags
from tellapart.cli.flags import with_flags
from tellapart.cli.options import CacheDir, ClassLevel, LabelPattern, LabelsCsv
from tellapart.cli.output import make_console, print_line
from tellapart.measure.number_words import count_photos
from tellapart.translation import gettext as _
from tellapart.translation import ngettext


@with_cluster_flags
def embed(
    photos: Annotated[
        list[str],
        typer.Argument(help=_("Photos as for train, or without labels: a folder, zip or CSV."), metavar="SOURCE"),
    ],
    out: Annotated[
        Path, typer.Option(help=_("Where the vectors go. With --engine ray, a folder."), metavar="FILE.npz")
    ],
    backbone: Annotated[
        str, typer.Option(help=_("efficientnet-lite0, -lite1, -lite2, an ONNX file, or hf:OWNER/NAME."))
    ] = "efficientnet-lite0@288",
    labels_csv: LabelsCsv = None,
    label_pattern: LabelPattern = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
    *,
    cluster: ListFlags,
) -> None:
    """Write the embedding of each photo in SOURCE to a file that numpy.load reads."""
    cluster.check({"labels_csv": labels_csv, "label_pattern": label_pattern, "class_level": class_level})
    if cluster.engine == "ray":
        from tellapart.cli.progress import watch_prediction
        from tellapart.distribute.embedding import embed_list  # needs Ray

        source, folder = require_list(photos, out)
        with watch_prediction() as show:
            summary = embed_list(
                source,
                folder,
                backbone=backbone,
                cache_dir=cache_dir,
                uri_column=cluster.uri_column,
                cluster=cluster.config(),
                on_photo=show,
            )
        print_job(summary, folder, {})
        return
    from tellapart.cli.progress import watch_training
    from tellapart.commands.embed import embed as embed_photos

    with watch_training() as watcher:
        seen = embed_photos(
            photos,
            out,
            backbone=backbone,
            watcher=watcher,
            labels_csv=labels_csv,
            label_pattern=label_pattern,
            class_level=class_level,
            cache_dir=cache_dir,
        )
    console = make_console()
    assert seen.embeddings is not None
    num_photos, size = seen.embeddings.shape
    print_line(
        console,
        _("{photos} as vectors of {size:,} numbers in {path}").format(
            photos=count_photos(num_photos), size=size, path=out
        ),
    )
    if skipped := seen.photos.skipped:
        reason = with_flags(skipped[0].reason)
        said = ngettext(
            "{num:,} file skipped: {path}: {reason}",
            "{num:,} files skipped. The first one is {path}: {reason}",
            len(skipped),
        )
        print_line(console, said.format(num=len(skipped), path=skipped[0].path, reason=reason))
