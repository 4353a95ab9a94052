"""Backbones from the Hugging Face Hub: the ONNX file of a repository and how its images are prepared.

`huggingface_hub` downloads, checks, resumes and draws its own progress bar on stderr; only the names of the files are
sent, never a photo. What was downloaded once is used from then on without asking the network again, also when the
repository has changed; `@REVISION` asks for another state of it.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tellapart.backbones.onnx_preprocessing import HUB_FILES
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError
from tellapart.installation import install_extra
from tellapart.translation import gettext as _
from tellapart.untrusted import read_regular

HUB_PREFIX = "hf:"
_MODEL_FILES = ("onnx/model.onnx", "model.onnx")
_PATTERNS = [*_MODEL_FILES, "onnx/model.json", "model.json", *HUB_FILES]
_CARD_FILE = "README.md"
_LICENSE_FILES = tuple(f"{word}{suffix}" for word in ("LICENSE", "LICENCE") for suffix in ("", ".txt", ".md"))
_MAX_CARD_BYTES, _MAX_LICENSE_BYTES = 4 * 1024**2, 128 * 1024
# The licence in the card's front matter, and its name where that is `other`.
_FRONT_MATTER = re.compile(r"\A-{3}\n(.*?)^-{3}\s*$", re.DOTALL | re.MULTILINE)
_LICENSE_LINE = re.compile(r"^(license|license_name):[ \t]*[\"']?([\w.+ -]{1,80}?)[\"']?[ \t]*$", re.MULTILINE)


class License(NamedTuple):
    """The licence of a network: its short name, such as `apache-2.0`, and its text; each empty where not found."""

    name: str
    text: str


def fetch_backbone(name: str, cache_dir: Path) -> tuple[Path, Path]:
    """The ONNX file of the repository and the folder of the repository, from an earlier download or downloaded now.

    Args:
        name: `OWNER/NAME`, or `OWNER/NAME@REVISION` with a branch, tag or commit.
        cache_dir: folder for downloads, made when missing.

    Raises:
        ConfigError: the name is not of that form.
        DependencyError: `huggingface_hub` is not installed.
        BundleError: the repository cannot be had, or has no ONNX file.
        OutputError: `cache_dir` cannot be written.
    """
    shown = f"`backbone` {HUB_PREFIX + name!r}"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read at the import; a value that the user has set stays
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as exc:
        raise DependencyError(
            _(
                "{shown} needs huggingface_hub, which is not installed. Install it with: "
                "{command}, or give the path of an ONNX file."
            ).format(shown=shown, command=install_extra("hub"))
        ) from exc
    errors: Any = huggingface_hub.errors
    repository, at, revision = name.partition("@")
    if repository.count("/") != 1 or (at and not revision) or ".." in revision:
        raise _refused_name(shown)
    settings: dict[str, Any] = {
        "revision": revision or None,
        "cache_dir": cache_dir,
        "allow_patterns": _PATTERNS,
        "library_name": "tellapart",
    }
    try:
        try:
            return _find_model(huggingface_hub.snapshot_download(repository, local_files_only=True, **settings), shown)
        except (errors.LocalEntryNotFoundError, BundleError):  # never downloaded, or only in part
            return _find_model(huggingface_hub.snapshot_download(repository, **settings), shown)
    except errors.HFValidationError as exc:
        raise _refused_name(shown) from exc
    except (errors.HTTPError, errors.XetDownloadError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise OutputError(
                _(
                    "{shown} cannot be downloaded to {cache_dir!r} ({reason}). Free some space there, or "
                    "choose another `cache_dir`."
                ).format(shown=shown, cache_dir=str(cache_dir), reason=exc.strerror or exc),
                path=cache_dir,
            ) from exc
        raise BundleError(f"{shown} {_explain(exc, errors, repository, revision)}") from exc


def fetch_license(name: str, folder: Path) -> License:
    """The licence of a repository that was fetched, from its card and its file of the licence.

    They are downloaded where they can be; without a connection those of an earlier download count.

    Args:
        name: as for `fetch_backbone`.
        folder: of the repository, as `fetch_backbone` gave it; its name is the commit.
    """
    import huggingface_hub
    import huggingface_hub.errors

    errors: Any = huggingface_hub.errors
    with suppress(errors.HTTPError, errors.XetDownloadError, errors.HFValidationError, OSError):
        huggingface_hub.snapshot_download(
            name.partition("@")[0],
            revision=folder.name,
            cache_dir=folder.parents[2],
            allow_patterns=[_CARD_FILE, *_LICENSE_FILES],
            library_name="tellapart",
        )
    matter = _FRONT_MATTER.match(_read_text(folder / _CARD_FILE, _MAX_CARD_BYTES))
    stated: dict[str, str] = dict(_LICENSE_LINE.findall(matter[1])) if matter else {}
    short = stated.get("license", "")
    texts = (_read_text(folder / file, _MAX_LICENSE_BYTES) for file in _LICENSE_FILES)
    return License(stated.get("license_name", short) if short == "other" else short, next(filter(None, texts), ""))


def _read_text(path: Path, max_bytes: int) -> str:
    """The text of the file; empty where there is none, or none that can be read."""
    try:
        return read_regular(path, max_bytes).decode("utf-8-sig", "replace").replace("\r\n", "\n")
    except OSError:
        return ""


def _find_model(folder: str, shown: str) -> tuple[Path, Path]:
    for name in _MODEL_FILES:
        if (path := Path(folder) / name).is_file():
            return path, Path(folder)
    raise BundleError(
        _(
            "{shown} has none of the files {names}. Give a repository with its model as ONNX, or export "
            "the model and give the path of the file."
        ).format(shown=shown, names=", ".join(_MODEL_FILES))
    )


def _refused_name(shown: str) -> ConfigError:
    return ConfigError(
        _(
            "{shown} is not the name of a repository. Give hf:OWNER/NAME or hf:OWNER/NAME@REVISION, as "
            "in the address of its page on the Hub."
        ).format(shown=shown),
        field="backbone",
    )


def _explain(exc: Exception, errors: Any, repository: str, revision: str) -> str:
    """What is wrong and what to do, behind the name of the repository."""
    # A gated repository is also one that was not found, so the order counts.
    if isinstance(exc, errors.GatedRepoError):
        return _("is gated. Ask for access on the page of the repository, log in with `hf auth login`, and try again.")
    status = exc.response.status_code if isinstance(exc, errors.HfHubHTTPError) else None
    # The Hub answers 401 for what is private and for what does not exist alike.
    if isinstance(exc, errors.RepositoryNotFoundError) or status == 401:
        return _(
            "was not found. Check the spelling of {repository!r}. If the repository is private, "
            "log in with `hf auth login`."
        ).format(repository=repository)
    if isinstance(exc, errors.RevisionNotFoundError):
        return _(
            "has no revision {revision!r}. Give a branch, tag or commit after the @, or leave the revision out."
        ).format(revision=revision)
    if status is not None:
        return _("cannot be downloaded: the Hub answered with HTTP status {status}. Try again later.").format(
            status=status
        )
    return _(
        "is not on this machine, and the Hub cannot be reached. The first use needs the internet. "
        "Check the connection, or give the path of an ONNX file."
    )
