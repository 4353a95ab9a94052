"""Labels found in file names: the words before the number (`cat.0.jpg`), or what a pattern of the user captures.

Only the name of the file is looked at, never its folders, so a path such as `/home/dogan/` says nothing.
"""

import re
from collections import Counter
from collections.abc import Sequence

from tellapart.errors import DatasetError
from tellapart.photos.names import class_name, name_some
from tellapart.translation import ngettext

_SUFFIX = re.compile(r"\.[^\W\d_][^\W_]{0,4}$")
_UP_TO_LAST_NUMBER = re.compile(r"^.*\d[)\]]?", re.DOTALL)
_SEPARATED_NUMBER = re.compile(r"(?:[\s._-]+[(\[]?|[(\[])\d+[)\]]?$")
_ATTACHED_NUMBER = re.compile(r"\d+$")
_EDGES = " \t\r\n._-([)]"
_WORDS = re.compile(r"[^\W\d_]+")
_MAX_NAME_LENGTH = 255

# What cameras, phones and programs call their files; never a class when one of the first kind comes first.
_CAMERA_STARTS = frozenset(
    "img kimg imag imgp dsc dscn dscf dsci dcim cimg pict hpim sany mvi mvimg pxl gopr gopro dji fb received snapchat "
    "instagram whatsapp telegram messenger wechat mmexport viber tiktok camscanner adobescan screenshot screencapture "
    "bildschirmfoto".split()
)
_CAMERA_WORDS = _CAMERA_STARTS | frozenset(
    "wa image bild imagem imagen photo video at from mp burst cover portrait night raw edited copy edit hdr top ios "
    "android com e on cloud size document".split()
)
# Words that are classes as well, unless the moment follows when the file was made.
_APP_STARTS = frozenset(
    "signal imo skype lightroom pinterest reddit twitter wp inshot picsart facetune insta line snow polish photo image "
    "picture pic capture captura screen burst pano vid video file download temp tmp clip scan camera cam".split()
)
_APP_WORDS = _APP_STARTS | _CAMERA_WORDS
_MOMENT = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d(?:[-_. ]|[-_ ]at[-_ ])*[0-2]\d[-_.h ]?[0-5]\d"
    r"|[0-3]?\d[-_. ][01]?\d[-_. ](?:19|20)\d\d|1\d{9}(?:\d{3})?(?!\d))"
)
# Names of cameras that are too short to be told by their letters alone.
_CAMERA_NAME = re.compile(r"(?:SAM_\d{4}|G[HPX]\d{6}|P\d{7}|S\d{7}|_?MG_\d{4}|STA_\d{4}|WP_\d{8}.*|VID[-_]\d{8}.*)")
_UUID = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"(?=(?:[a-f]*\d+[a-f]+){2})[0-9a-f]{6,}", re.IGNORECASE)
# What people call unsorted photos; a class only beside others that say more.
_NEUTRAL_WORDS = _CAMERA_WORDS | frozenset(
    "images photo photos pic pics picture pictures file frame foto fotos bild untitled unnamed download sample scan "
    "test "
    "train val valid validation".split()
)
_FEW_PHOTOS = 6


def token_before_number(file_name: str) -> str | None:
    """The words before the number in a file name, or `None` where there are none.

    `cat.0.jpg`, `cat-12.JPG`, `cat_7.png`, `cat (3).jpg` and `cat12.jpg` all give `cat`; `great_pyrenees_2.jpg` gives
    `great_pyrenees`; `12.jpg` and `cat.jpg` give `None`, as do names that cameras write (`IMG_0012.jpg`).
    """
    if len(file_name) > _MAX_NAME_LENGTH:
        return None
    numbered = _UP_TO_LAST_NUMBER.match(_SUFFIX.sub("", file_name))
    if numbered is None:
        return None
    stripped = numbered[0]
    while (shorter := _SEPARATED_NUMBER.sub("", stripped)) != stripped:
        stripped = shorter
    if stripped == numbered[0]:
        stripped = _ATTACHED_NUMBER.sub("", stripped)
    token = class_name(stripped.strip(_EDGES))
    words = _WORDS.findall(token.lower())
    if not any(map(str.isalpha, token)) or _is_written_by_program(_SUFFIX.sub("", file_name), words):
        return None
    return token


def _is_written_by_program(stem: str, words: Sequence[str]) -> bool:
    """Whether a camera, a phone or a program gave the name, which says nothing of what is in the photo.

    Args:
        stem: the name without suffix.
        words: those before its last number, in small letters.
    """
    if _CAMERA_NAME.fullmatch(stem) or _UUID.search(stem) or _HEX.fullmatch(re.split(r"[-_. ]", stem)[0]):
        return True
    if words[0] in _CAMERA_STARTS and _CAMERA_WORDS.issuperset(words):
        return True
    return words[0] in _APP_STARTS and _APP_WORDS.issuperset(words) and _MOMENT.search(stem) is not None


def labels_from_names(file_names: Sequence[str]) -> list[str | None] | None:
    """One label per file name, `None` for a name without one; or `None` when the names as a whole carry no labels.

    They carry labels when at least half of them have words before a number, some of these words say more than
    `photo` or `image`, and words come back: names such as `a3f5b2.jpg` that are all different are no labels.
    """
    labels = [token_before_number(name) for name in file_names]
    counts = Counter(label for label in labels if label is not None)
    num_labelled = counts.total()
    if num_labelled == 0 or num_labelled * 2 < len(labels):
        return None
    if all(_NEUTRAL_WORDS.issuperset(_WORDS.findall(label.lower())) for label in counts):
        return None
    if num_labelled >= _FEW_PHOTOS and len(counts) * 2 > num_labelled:
        return None
    # `cat.jpg` beside `cat (2).jpg`: a name without a number that is a label of others.
    stems = (class_name(_SUFFIX.sub("", name)) for name in file_names)
    return [label or (stem if stem in counts else None) for label, stem in zip(labels, stems, strict=True)]


def labels_from_pattern(file_names: Sequence[str], pattern: str, source: str) -> list[str | None]:
    """One label per file name: what the group `label`, or else the first group, captures; `None` elsewhere.

    Args:
        pattern: a regular expression that `SourceConfig` has checked; searched in the file name, suffix included.
        source: what the user named, for messages.

    Raises:
        DatasetError: the pattern matches none of the names.
    """
    compiled = re.compile(pattern)
    group: int | str = "label" if "label" in compiled.groupindex else 1
    matches = [compiled.search(name) for name in file_names]
    labels = [class_name(match[group] or "") or None if match else None for match in matches]
    if not any(labels):
        raise DatasetError(
            ngettext(
                "`label_pattern` {pattern!r} finds no label in {names}, the name of the only photo of {source!r}. "
                "Only the file name is searched. Change the pattern, or leave it out.",
                "`label_pattern` {pattern!r} finds no label in the names of the {num:,} photos of {source!r}, "
                "such as {names}. Only the file name is searched. Change the pattern, or leave it out.",
                len(labels),
            ).format(pattern=pattern, num=len(labels), source=source, names=name_some(file_names[:3])),
            paths=[source],
        )
    return labels
