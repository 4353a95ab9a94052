"""The home folder of the user, in processes that Ray has started with another one; credentials of clouds are there."""

import os

HOME_VARIABLE = "TELLAPART_HOME"


def restore_home() -> None:
    """Nothing; `HOME` is the home folder of the user from now on."""
    if home := os.environ.get(HOME_VARIABLE):
        os.environ["HOME"] = home
