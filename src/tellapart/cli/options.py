"""Arguments and flags that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from tellapart.translation import gettext as _

SOURCE_HELP = _("Folder with a folder per class, folder or zip of labelled names, or CSV. Several are one source.")
LabelledSource = Annotated[list[str], typer.Argument(help=SOURCE_HELP, metavar="SOURCE")]
ModelDir = Annotated[Path, typer.Argument(help=_("Folder that `tellapart train` made."), metavar="MODEL_DIR")]
LabelsCsv = Annotated[str | None, typer.Option(help=_("CSV with a path and a label column."), metavar="FILE")]
LabelPattern = Annotated[
    str | None, typer.Option(help=_("Regular expression whose group is the label."), metavar="REGEX")
]
ClassLevel = Annotated[
    int | None,
    typer.Option(
        help=_("Which folder of each path is the class: 1 for the folders directly in SOURCE, 2 for those inside."),
        show_default=_("found from the folders"),
        metavar="N",
    ),
]
PerClass = Annotated[
    int | None, typer.Option(help=_("Photos to take of each class, chosen by the seed."), show_default=_("all"))
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help=_(
            "Answer one class from this probability on, e.g. cracked=0.2. A lower number misses fewer photos of the"
            " class and gives more false alarms. off takes the most probable class."
        ),
        show_default=False,
        metavar="CLASS=NUMBER",
    ),
]
MaxMissed = Annotated[
    str | None,
    typer.Option(
        help=_("The largest threshold that misses at most this share of the photos of one class, e.g. cracked=0.02."),
        show_default=False,
        metavar="CLASS=SHARE",
    ),
]
CacheDir = Annotated[
    str | None,
    typer.Option(
        help=_("Folder for decoded photos, embeddings and backbones."),
        show_default=_("the user's cache folder"),
        metavar="DIR",
    ),
]
