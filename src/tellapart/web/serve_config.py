"""The settings of the service: what it accepts, how long it waits, and whom it lets in."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tellapart.config import ImageLimits
from tellapart.errors import ConfigError
from tellapart.translation import gettext as _
from tellapart.untrusted import read_regular
from tellapart.value_checks import check_range, check_whole

TOKEN_VARIABLE = "TELLAPART_TOKEN"
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHORTEST_TOKEN, _LONGEST_TOKEN = 16, 1024


@dataclass(frozen=True)
class ServeLimits:
    """What one client, and all of them together, may take.

    Attributes:
        max_wait_ms: a photo that would wait longer for a worker is refused at once, with 503.
        max_connections: open at once; the one that has made the server wait longest makes room for a new one.
        max_bytes: of the body of one request.
        max_buffered_bytes: of all bodies that are being read or worked on together.
        max_photos: in one request of the inference protocol.
        header_seconds: for the head of a request to arrive.
        body_seconds: for its body to arrive.
        write_seconds: for a client to take its answer.
        max_pixels: of a photo, as in `ImageLimits`.
    """

    max_wait_ms: int = 250
    max_connections: int = 512
    max_bytes: int = 64 * 1024**2
    max_buffered_bytes: int = 256 * 1024**2
    max_photos: int = 64
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    write_seconds: float = 30.0
    max_pixels: int = ImageLimits().max_pixels

    def __post_init__(self) -> None:
        check_whole("max_wait_ms", self.max_wait_ms, 0, 3_600_000)
        check_whole("max_connections", self.max_connections, 1, 1_000_000)
        check_whole("max_photos", self.max_photos, 1, 10_000)
        check_whole("max_bytes", self.max_bytes, 1, 2**40)
        check_whole("max_buffered_bytes", self.max_buffered_bytes, self.max_bytes, 2**40)
        for name in ("header_seconds", "body_seconds", "write_seconds"):
            check_range(name, getattr(self, name), 0.001, 86_400)

    @property
    def image_limits(self) -> ImageLimits:
        """The largest photo that is decoded."""
        return ImageLimits(self.max_bytes, self.max_pixels)


@dataclass(frozen=True)
class ServeConfig:
    """Whom the service answers, and when its models may answer.

    Attributes:
        not_sure, none_of_these: as for `Model.predict`; a request may give its own.
        token: what a client must send as `Authorization: Bearer TOKEN`; `None` lets every client in.
        allow_hosts: names by which clients may call the server, beside `localhost` and addresses in numbers.
        allow_origins: web pages of other addresses that may call it, such as `https://shop.example`.
    """

    not_sure: float | None = None
    none_of_these: float | None = None
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is not None:
            _check_token(self.token)
        for origin in self.allow_origins:
            if not re.fullmatch(r"https?://[^/\s@?#*]+", origin):
                raise ConfigError(
                    _("`allow_origin` {origin!r} is not an address. Give one like https://shop.example.").format(
                        origin=origin
                    ),
                    field="allow_origin",
                    value=origin,
                )


def parse_models(words: list[str]) -> dict[str, Path]:
    """From `NAME=MODEL_DIR`, or a folder alone, which then gives the name, to the folders by name.

    Raises:
        ConfigError: a name cannot stand in an address, or is there twice.
    """
    folders: dict[str, Path] = {}
    for word in words:
        before, sign, after = word.partition("=")
        is_named = bool(sign) and not Path(word).is_dir()
        name, folder = (before, after) if is_named else (Path(word).resolve().name, word)
        if not _MODEL_NAME.fullmatch(name):
            raise ConfigError(
                _(
                    "{word!r} gives no name that can be part of an address. Give NAME=MODEL_DIR, with a name of "
                    "letters, digits, dots, dashes and underscores, such as pets={folder}."
                ).format(word=word, folder=folder)
            )
        if name in folders:
            raise ConfigError(_("Two models are called {name!r}. Give each its own NAME=MODEL_DIR.").format(name=name))
        folders[name] = Path(folder)
    return folders


def read_token(path: Path) -> str:
    """The token in a file, without the space around it.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    try:
        token = read_regular(path, 4 * _LONGEST_TOKEN).decode("ascii").strip()
    except OSError as exc:
        raise ConfigError(
            _("`token_file` {path!r} cannot be read: {reason}.").format(path=str(path), reason=exc.strerror),
            field="token_file",
            value=path,
        ) from exc
    except UnicodeDecodeError:
        token = ""
    _check_token(token)
    return token


def _check_token(token: str) -> None:
    if not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise ConfigError(  # the message must not hold the token
            _(
                "The token must have {least} to {most} letters, digits or signs, and no spaces. Make one with "
                "`openssl rand -hex 32`."
            ).format(least=_SHORTEST_TOKEN, most=_LONGEST_TOKEN)
        )
