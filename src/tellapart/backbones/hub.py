"""Backbones from the Hugging Face Hub: the ONNX file of a repository and how its images are prepared.

What was downloaded once is used from then on without asking the network again, also when the repository has changed;
`@REVISION` asks for another state of it. `huggingface_hub` downloads, draws its own progress bar on stderr, and goes on
where a connection broke off; only the names of the files are sent, never a photo.
"""

import hashlib
import os
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.backbones.onnx_preprocessing import HUGGING_FACE_FILE, check_onnx_size
from tellapart.errors import BundleError, ConfigError, DependencyError, OutputError

HUB_PREFIX = "hf:"
_MODEL_FILES = ("onnx/model.onnx", "model.onnx")
_DEFAULT_REVISION = "main"
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
# Seconds for the server to answer before it counts as unreachable.
_TIMEOUT_SECONDS = 10.0
_NOT_LOGGED_IN = 401


@dataclass(frozen=True)
class HubBackbone:
    """The files of a repository.

    Attributes:
        model: content of the ONNX file.
        preprocessing: content of `preprocessor_config.json`.
        notes: sentences for the user.
    """

    model: bytes
    preprocessing: bytes
    notes: tuple[str, ...] = ()


def fetch_backbone(name: str, cache_dir: Path, endpoint: str | None = None) -> HubBackbone:
    """The files of the repository, from an earlier download or downloaded now.

    Args:
        name: `OWNER/NAME`, or `OWNER/NAME@REVISION` with a branch, tag or commit.
        cache_dir: folder for downloads, made when missing.
        endpoint: address of the Hub; `None` is what `huggingface_hub` is set to.

    Raises:
        ConfigError: the name is not of that form.
        DependencyError: `huggingface_hub` is not installed.
        BundleError: the repository, or a file in it, cannot be had.
        OutputError: `cache_dir` cannot be written.
    """
    return _Repository(_import_hub(name), name, cache_dir, endpoint).fetch()


def _import_hub(name: str) -> types.ModuleType:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read at the import; a value that the user has set stays
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as exc:
        raise DependencyError(
            f"--backbone {HUB_PREFIX + name!r} is downloaded with huggingface_hub, which is not installed. Install it "
            "with: pip install 'tellapart[hub]', or pass the path of an ONNX file."
        ) from exc
    return huggingface_hub


class _Repository:
    """One state of a repository, of which files are found or downloaded; arguments as for `fetch_backbone`."""

    def __init__(self, hub: Any, name: str, cache_dir: Path, endpoint: str | None) -> None:
        repository, _, revision = name.partition("@")
        self._hub = hub
        self._shown = f"--backbone {HUB_PREFIX + name!r}"
        self._repository = repository
        self._revision = revision or _DEFAULT_REVISION
        self._cache_dir = cache_dir
        self._endpoint = endpoint or str(hub.constants.ENDPOINT)
        self._notes: list[str] = []
        try:
            hub.utils.validate_repo_id(repository)
        except hub.errors.HFValidationError as exc:
            raise self._refuse_name() from exc
        is_revision = _REVISION.fullmatch(self._revision) is not None and ".." not in self._revision
        if repository.count("/") != 1 or name.endswith("@") or not is_revision:
            raise self._refuse_name()

    def fetch(self) -> HubBackbone:
        """The files, both of the same state of the repository."""
        filename, path = self._find_model()
        model = self._read_checked(filename, path)
        # From here on, the state that the model came from, should the repository change in between.
        self._revision = path.parents[filename.count("/")].name
        path = self._find(HUGGING_FACE_FILE) or self._download_first((HUGGING_FACE_FILE,))[1]
        preprocessing = self._read_checked(HUGGING_FACE_FILE, path)
        return HubBackbone(model, preprocessing, tuple(self._notes))

    def _find_model(self) -> tuple[str, Path]:
        for filename in _MODEL_FILES:
            if (path := self._find(filename)) is not None:
                return filename, path
        return self._download_first(_MODEL_FILES)

    def _find(self, filename: str) -> Path | None:
        """Where an earlier download left the file."""
        found = self._hub.try_to_load_from_cache(
            self._repository, filename, cache_dir=self._cache_dir, revision=self._revision
        )
        return Path(found) if isinstance(found, str) else None

    def _download_first(self, filenames: tuple[str, ...]) -> tuple[str, Path]:
        """The first of the files that the repository has."""
        for filename in filenames:
            with self._telling():
                try:
                    self._check_remote(filename)
                except self._hub.errors.RemoteEntryNotFoundError:
                    continue
                return filename, self._download(filename)
        looked_for = " and ".join(filenames)
        advice = (
            "Pass a repository that holds its model as ONNX, or export it and pass the file."
            if filenames == _MODEL_FILES
            else f"Download {' or '.join(_MODEL_FILES)}, write FILE.json beside it, and pass the path."
        )
        raise BundleError(f"{self._shown} has no {looked_for}, which was looked for at {self._revision!r}. {advice}")

    def _check_remote(self, filename: str) -> None:
        """Asks about the file without the retries of the download, so that no network is told at once."""
        url = self._hub.hf_hub_url(self._repository, filename, revision=self._revision, endpoint=self._endpoint)
        found = self._hub.get_hf_file_metadata(
            url, timeout=_TIMEOUT_SECONDS, endpoint=self._endpoint, library_name="tellapart"
        )
        if found.commit_hash is None or found.etag is None:
            raise BundleError(
                f"{self._shown} cannot be downloaded: what answers at {self._endpoint} is no Hugging Face Hub. Check "
                "HF_ENDPOINT and the proxy, or pass the path of an ONNX file."
            )
        check_onnx_size(found.size or 0, f"{filename} of {self._shown}")

    def _download(self, filename: str, *, is_forced: bool = False) -> Path:
        path = self._hub.hf_hub_download(
            self._repository,
            filename,
            revision=self._revision,
            cache_dir=self._cache_dir,
            endpoint=self._endpoint,
            etag_timeout=_TIMEOUT_SECONDS,
            force_download=is_forced,
            library_name="tellapart",
        )
        return Path(path)

    def _read_checked(self, filename: str, path: Path) -> bytes:
        """The content of the file; downloaded again where it is not what the Hub gave."""
        data = self._read(path)
        if _matches_name(data, path):
            return data
        with self._telling():
            self._check_remote(filename)
            path = self._download(filename, is_forced=True)
        data = self._read(path)
        if not _matches_name(data, path):
            raise BundleError(
                f"{filename} of {self._shown} does not match its checksum after a second download either; accepted is "
                f"the file as {self._endpoint} describes it. Try again later, or pass the path of an ONNX file."
            )
        self._notes.append(f"{filename} of {self._shown} was damaged on the disk; it has been downloaded again.")
        return data

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as exc:
            raise BundleError(
                f"{str(path)!r}, a download for {self._shown}, cannot be read ({exc.strerror or exc}). Delete it, or "
                "pass another --cache-dir."
            ) from exc

    def _refuse_name(self) -> ConfigError:
        return ConfigError(
            f"{self._shown} is not the name of a repository; accepted: {HUB_PREFIX}OWNER/NAME or "
            f"{HUB_PREFIX}OWNER/NAME@REVISION, as in the address of its page on {self._endpoint}. Correct it."
        )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors of `huggingface_hub` become ours."""
        errors = self._hub.errors
        try:
            yield
        except (errors.HTTPError, errors.XetDownloadError, OSError) as exc:
            if isinstance(exc, OSError) and exc.errno is not None:
                raise OutputError(
                    f"{self._shown} cannot be downloaded to {str(self._cache_dir)!r} ({exc.strerror or exc}). Make "
                    "room there, or pass another --cache-dir."
                ) from exc
            raise BundleError(f"{self._shown} {self._explain(exc)}") from exc

    def _explain(self, exc: Exception) -> str:
        """What is wrong and what to do, behind the name of the repository."""
        errors = self._hub.errors
        page = f"{self._endpoint}/{self._repository}"
        # A gated repository is also one that was not found, so the order counts.
        if isinstance(exc, errors.GatedRepoError):
            return (
                f"is gated: only those whom its owner has let in may download it. Ask for access at {page}, log in "
                "with `hf auth login`, and try again."
            )
        status = exc.response.status_code if isinstance(exc, errors.HfHubHTTPError) else None
        # The Hub answers 401 for what is private and for what does not exist alike.
        if isinstance(exc, errors.RepositoryNotFoundError) or status == _NOT_LOGGED_IN:
            return (
                f"was not found: there is no public model at {page}. Check the spelling of OWNER/NAME; for a private "
                "one, log in with `hf auth login`."
            )
        if isinstance(exc, errors.RevisionNotFoundError):
            return (
                f"has no revision {self._revision!r}; accepted is a branch, tag or commit of {page}. Check the part "
                "behind the @, or leave it out."
            )
        if status is not None:
            return (
                f"cannot be downloaded: {self._endpoint} answered with HTTP status {status}. Try again later, or pass "
                "the path of an ONNX file."
            )
        return (
            f"is not, or no longer, whole on this machine, and {self._endpoint} cannot be reached to download it. The "
            "network is needed once, afterwards it works offline. Check the connection, or pass the path of an ONNX "
            "file."
        )


def _matches_name(data: bytes, path: Path) -> bool:
    """Whether the content is what the Hub calls the file, where it says so.

    Downloads are links to files named by the SHA-256 of the content (large files) or by Git's SHA-1; `huggingface_hub`
    itself compares sizes only.
    """
    name = path.resolve().name
    if any(character not in "0123456789abcdef" for character in name):
        return True
    if len(name) == 64:
        return hashlib.sha256(data).hexdigest() == name
    if len(name) == 40:
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == name
    return True
