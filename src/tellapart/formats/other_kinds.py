"""Files that are no photo: which kind of file it is, by its first bytes, and what to do with it.

Content comes first; a name counts only where the content says nothing. Nothing is decoded here. The only list of such
kinds: `images/gate.py` asks for bytes, `photos/misplaced.py` for files in a folder or zip.
"""

import os
import re
from typing import NamedTuple

from tellapart.formats.photo_formats import media_brands
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

# The bytes that are needed to tell a kind; a tar archive is told by its 257th, an Office document by its first names.
HEAD_BYTES = 4096

_RAW_WORDS = gettext_noop("a camera raw file")
_EXPORT_RAW = gettext_noop("Export the photo as JPEG or TIFF, for example with darktable")
_SAVE = gettext_noop("Save the picture as JPEG or PNG")
_FRAMES = gettext_noop("Save frames of the video as JPEG, for example with VLC or ffmpeg")
_UNPACK = gettext_noop("Unpack the archive first")
_PAGES = gettext_noop("Save its pages or pictures as JPEG or PNG")


class OtherKind(NamedTuple):
    """A kind of file that no photo is read from.

    Attributes:
        noun: what it is in English, with its article.
        advice: what to do with it; empty where there is nothing to do.
        is_picture: whether it holds one picture, in a format that is not read.
        maker: of the camera; empty where it is no raw file, or nothing tells.
        is_by_name: whether its name alone says so.

    """

    noun: str
    advice: str = ""
    is_picture: bool = False
    maker: str = ""
    is_by_name: bool = False

    @property
    def words(self) -> str:
        """What it is, such as "a camera raw file (Canon CR2)" or "by its name a video"."""
        kind = _("a camera raw file ({maker})").format(maker=self.maker) if self.maker else _(self.noun)
        return _("by its name {kind}").format(kind=kind) if self.is_by_name else kind

    @property
    def reason(self) -> str:
        """Why it is skipped, and what to do: "a PDF document, not a photo. Save its pages ..."."""
        verdict = _("{kind}, in a format that is not read") if self.is_picture else _("{kind}, not a photo")
        sentence = verdict.format(kind=self.words)
        return f"{sentence}. {_(self.advice)}" if self.advice else sentence


def _raw(maker: str) -> OtherKind:
    return OtherKind(_RAW_WORDS, _EXPORT_RAW, is_picture=True, maker=maker)


def _picture(noun: str, advice: str = _SAVE) -> OtherKind:
    return OtherKind(noun, advice, is_picture=True)


UNKNOWN = OtherKind(gettext_noop("a file of no known kind"))
ZIP = OtherKind(gettext_noop("a zip archive"), gettext_noop("Unpack the zip, or give it as a separate source"))
_TEXT = OtherKind(gettext_noop("text"))
_ZEROS = OtherKind(
    gettext_noop("a run of zeros"), gettext_noop("Its content is lost. Copy the file again from the original")
)
_RAW = OtherKind(_RAW_WORDS, _EXPORT_RAW, is_picture=True)
_VIDEO = OtherKind(gettext_noop("a video"), _FRAMES)
_SOUND = OtherKind(gettext_noop("a sound"))
_JXL = _picture(
    gettext_noop("a JPEG XL picture"),
    gettext_noop("Save the picture as JPEG or PNG, for example with `djxl in.jxl out.png`"),
)
_DICOM = _picture(gettext_noop("a DICOM image"), gettext_noop("Export the image as PNG with a DICOM viewer"))
_PDF = OtherKind(gettext_noop("a PDF document"), _PAGES)
_SVG = _picture(gettext_noop("an SVG drawing"), gettext_noop("Export the picture as PNG"))
_POSTSCRIPT = _picture(gettext_noop("a PostScript drawing"), gettext_noop("Export the picture as PNG"))
_PSD = _picture(gettext_noop("a Photoshop document"), gettext_noop("Save a copy as JPEG or PNG"))
_EXR = _picture(gettext_noop("an OpenEXR picture"))
_HDR = _picture(gettext_noop("a Radiance HDR picture"))
_PNM = _picture(gettext_noop("a picture in a Netpbm format"), gettext_noop("Save the picture as PNG"))
_ICON = _picture(gettext_noop("an icon"))
_EXCEL = OtherKind(
    gettext_noop("an Excel workbook"),
    gettext_noop("If the workbook holds labels, save its sheet as 'CSV UTF-8' and give that file"),
)
_WORD = OtherKind(gettext_noop("a Word document"), gettext_noop("Save its pictures as files"))
_SLIDES = OtherKind(gettext_noop("a PowerPoint presentation"), gettext_noop("Save its pictures as files"))
_OFFICE = OtherKind(gettext_noop("a document of an Office program"), gettext_noop("Save its pictures as files"))
_SHEET = OtherKind(
    gettext_noop("an OpenDocument spreadsheet"),
    gettext_noop("If the spreadsheet holds labels, save its sheet as CSV and give that file"),
)
_OPEN_DOCUMENT = OtherKind(gettext_noop("an OpenDocument file"), gettext_noop("Save its pictures as files"))
_RAR, _SEVEN_ZIP = (
    OtherKind(gettext_noop("a rar archive"), _UNPACK),
    OtherKind(gettext_noop("a 7-Zip archive"), _UNPACK),
)
_TAR, _PACKED = OtherKind(gettext_noop("a tar archive"), _UNPACK), OtherKind(gettext_noop("a packed file"), _UNPACK)
_UNFINISHED = OtherKind(gettext_noop("an unfinished download"), gettext_noop("Download the file again"))
_MEDICAL = _picture(gettext_noop("a medical or scientific image"), gettext_noop("Export the image as PNG"))
_NUMBERS = OtherKind(gettext_noop("a file of numbers"), gettext_noop("Save its images as PNG"))

# Offset, bytes there, kind; the first that fits counts.
_MAGIC: tuple[tuple[int, bytes, OtherKind], ...] = (
    (0, b"FUJIFILMCCD-RAW", _raw("Fujifilm RAF")),
    (8, b"CR\x02", _raw("Canon CR2")),
    (6, b"HEAPCCDR", _raw("Canon CRW")),
    (0, b"IIRO", _raw("Olympus ORF")),
    (0, b"IIRS", _raw("Olympus ORF")),
    (0, b"MMOR", _raw("Olympus ORF")),
    (0, b"IIU\x00", _raw("Panasonic RW2")),
    (0, b"FOVb", _raw("Sigma X3F")),
    (0, b"\x00MRM", _raw("Minolta MRW")),
    (8, b"IIII", _raw("Phase One IIQ")),
    (8, b"MMMM", _raw("Phase One IIQ")),
    (0, b"ARRI", _raw("ARRIRAW")),
    (0, b"\xff\x0a", _JXL),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JXL),
    (128, b"DICM", _DICOM),
    (0, b"%PDF", _PDF),
    (0, b"%!PS", _POSTSCRIPT),
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (0, b"8BPS", _PSD),
    (0, b"gimp xcf", _picture(gettext_noop("a GIMP picture"), gettext_noop("Export the picture as JPEG or PNG"))),
    (0, b"v/1\x01", _EXR),
    (0, b"#?RADIANCE", _HDR),
    (0, b"#?RGBE", _HDR),
    (0, b"PF\n", _picture(gettext_noop("a PFM picture"))),
    (0, b"Pf\n", _picture(gettext_noop("a PFM picture"))),
    (0, b"\x00\x00\x01\x00", _ICON),
    (0, b"\x00\x00\x02\x00", _picture(gettext_noop("a mouse pointer or TGA picture"))),
    (0, b"icns", _ICON),
    (0, b"II\xbc", _picture(gettext_noop("a JPEG XR picture"))),
    (0, b"qoif", _picture(gettext_noop("a QOI picture"))),
    (0, b"BPG\xfb", _picture(gettext_noop("a BPG picture"))),
    (0, b"FLIF", _picture(gettext_noop("a FLIF picture"))),
    (0, b"DDS |\x00", _picture(gettext_noop("a DDS texture"))),
    (0, b"AT&TFORM", OtherKind(gettext_noop("a DjVu document"), _PAGES)),
    (0, b"\xd7\xcd\xc6\x9a", _picture(gettext_noop("a Windows metafile"))),
    (40, b" EMF", _picture(gettext_noop("a Windows metafile"))),
    (0, b"\x8aMNG\r\n\x1a\n", _VIDEO),
    (0, b"SIMPLE  =", _picture(gettext_noop("a FITS image"), gettext_noop("Export the picture as PNG"))),
    (344, b"n+1\x00", _MEDICAL),
    (344, b"ni1\x00", _MEDICAL),
    (0, b"NRRD000", _MEDICAL),
    (0, b"ObjectType", _MEDICAL),
    (0, b"\x00\x05\x16\x07", OtherKind(gettext_noop("macOS metadata of another file"))),
    (0, b"\x00\x05\x16\x00", OtherKind(gettext_noop("macOS metadata of another file"))),
    (0, b"book\x00\x00\x00\x00mark", OtherKind(gettext_noop("a macOS alias"), gettext_noop("Give the original file"))),
    (
        0,
        b"L\x00\x00\x00\x01\x14\x02\x00",
        OtherKind(gettext_noop("a Windows shortcut"), gettext_noop("Give the original file")),
    ),
    (0, b"bplist00", OtherKind(gettext_noop("a macOS property list"))),
    (0, b"Rar!\x1a\x07", _RAR),
    (0, b"7z\xbc\xaf\x27\x1c", _SEVEN_ZIP),
    (257, b"ustar", _TAR),
    (0, b"\x1f\x8b", OtherKind(gettext_noop("a gzip archive"), _UNPACK)),
    (4, b"1AY&SY", _PACKED),
    (0, b"\xfd7zXZ\x00", _PACKED),
    (0, b"\x28\xb5\x2f\xfd", _PACKED),
    (0, b"MSCF", _PACKED),
    (0, b"SQLite format 3", OtherKind(gettext_noop("a database"))),
    (0, b"\x93NUMPY", OtherKind(gettext_noop("a NumPy array"), gettext_noop("Save its images as PNG"))),
    (0, b"\x89HDF", OtherKind(gettext_noop("an HDF5 file"), gettext_noop("Save its images as PNG"))),
    (
        0,
        b"PAR1",
        OtherKind(gettext_noop("a Parquet table"), gettext_noop("Save its images as files, and its labels as CSV")),
    ),
    (0, b"MATLAB 5.0", _NUMBERS),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),
    (0, b"\x00\x00\x01\xba", _VIDEO),
    (0, b"\x00\x00\x01\xb3", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    *((4, kind, _VIDEO) for kind in (b"moov", b"mdat", b"wide", b"pnot")),
    (0, b"OggS", _SOUND),
    *((0, b"ID3" + bytes([version]), _SOUND) for version in (2, 3, 4)),
    (0, b"fLaC", _SOUND),
    (0, b"{\\rtf", _WORD),
    (0, b"MZ\x90\x00", OtherKind(gettext_noop("a Windows program"))),
    (0, b"\x7fELF", OtherKind(gettext_noop("a program"))),
    (
        0,
        b"version https://git-lfs",
        OtherKind(gettext_noop("a Git LFS pointer"), gettext_noop("Run `git lfs pull` to get the file itself")),
    ),
)
_NETPBM = re.compile(rb"P[1-7]\s+(?:#[^\n]*\n\s*)*(?:\d+\s+\d|WIDTH)")
_ISO_BRANDS = {
    b"crx ": _raw("Canon CR3"),
    b"jxl ": _JXL,
    **dict.fromkeys((b"M4A ", b"M4B "), _SOUND),
}
_RIFF = {b"AVI ": _VIDEO, b"WAVE": _SOUND}
_MARKUP = (
    (b"<svg", _SVG),
    (b"<html", OtherKind(gettext_noop("a web page"), gettext_noop("Download the picture itself"))),
    (b"<!doctype html", OtherKind(gettext_noop("a web page"), gettext_noop("Download the picture itself"))),
    (b"<x:xmpmeta", OtherKind(gettext_noop("settings of a photo editor (XMP)"))),
    (b"<!doctype plist", OtherKind(gettext_noop("a macOS property list"))),
    (b"<?xml", OtherKind(gettext_noop("XML text"))),
)
# Of zips that are documents; bytes in their beginning.
_IN_ZIPS = (
    (b"application/vnd.oasis.opendocument.spreadsheet", _SHEET),
    (b"application/vnd.oasis.opendocument", _OPEN_DOCUMENT),
    (b"application/epub+zip", OtherKind(gettext_noop("an e-book"), _PAGES)),
    (b"image/openraster", _picture(gettext_noop("an OpenRaster picture"))),
    (
        b"application/x-krita",
        _picture(gettext_noop("a Krita picture"), gettext_noop("Export the picture as JPEG or PNG")),
    ),
)
_IN_OFFICE_ZIPS = ((b"xl/", _EXCEL), (b"word/", _WORD), (b"ppt/", _SLIDES))
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_RAW_MAKERS = {
    "Adobe DNG": ".dng",
    "Canon": ".cr2 .cr3 .crw",
    "Epson": ".erf",
    "Fujifilm RAF": ".raf",
    "GoPro": ".gpr",
    "Hasselblad": ".3fr .fff",
    "Kodak": ".dcr .dcs .k25 .kdc",
    "Leaf": ".mos",
    "Leica": ".rwl",
    "Mamiya": ".mef",
    "Minolta": ".mdc .mrw",
    "Nikon": ".nef .nrw",
    "Olympus ORF": ".orf .ori",
    "Panasonic": ".raw .rw2",
    "Pentax": ".pef .ptx",
    "Phase One": ".cap .iiq",
    "Samsung": ".srw",
    "Sigma": ".x3f",
    "Sony": ".arw .sr2 .srf",
}
_RAW_SUFFIXES = {suffix: _raw(maker) for maker, names in _RAW_MAKERS.items() for suffix in names.split()}
_BY_SUFFIX: dict[str, OtherKind] = {
    suffix: kind
    for names, kind in (
        (".jxl", _JXL),
        (".dcm .dicom .ima", _DICOM),
        (".nii .mha .mhd .nrrd .mnc", _MEDICAL),
        (".pdf", _PDF),
        (".svg .svgz", _SVG),
        (".eps .ps .ai", _POSTSCRIPT),
        (".psd .psb", _PSD),
        (".exr", _EXR),
        (".hdr .rgbe", _HDR),
        (".pbm .pgm .ppm .pnm .pam", _PNM),
        (".tga .icb .vda .vst", _picture(gettext_noop("a TGA picture"))),
        (".pcx", _picture(gettext_noop("a PCX picture"))),
        (".wbmp .xbm .xpm .ras .sgi .pict .pct", _picture(gettext_noop("a picture in a rare format"))),
        (".jxr .wdp .hdp", _picture(gettext_noop("a JPEG XR picture"))),
        (".ico .cur .icns", _ICON),
        (".xls .xlsx .xlsm .xlsb", _EXCEL),
        (".doc .docx .docm .rtf", _WORD),
        (".ppt .pptx .pptm", _SLIDES),
        (".ods", _SHEET),
        (".odt .odp .odg .pages .key .numbers", _OPEN_DOCUMENT),
        (".avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ts .3gp .webm .wmv", _VIDEO),
        (".aac .flac .m4a .mp3 .ogg .wav .wma", _SOUND),
        (".zip", ZIP),
        (".rar", _RAR),
        (".7z", _SEVEN_ZIP),
        (".tar .tgz .tbz2 .txz", _TAR),
        (".gz .bz2 .xz .zst .lz4 .cab .dmg .iso", _PACKED),
        (".crdownload .download .opdownload .part .partial", _UNFINISHED),
        (".npy .npz .mat .pkl .pickle .h5 .hdf5 .parquet .tfrecord .tfrecords", _NUMBERS),
    )
    for suffix in names.split()
} | _RAW_SUFFIXES
_LOCK = OtherKind(gettext_noop("a lock file of an Office program"))


def describe_other(head: bytes, name: str = "") -> OtherKind:
    """What a file that is not a photo seems to be: by its content, and by its name where the content says nothing.

    Args:
        head: its first `HEAD_BYTES`, or all of it.
        name: of the file; empty where there is none.
    """
    if os.path.basename(name).startswith("~$"):
        return _LOCK
    found = _by_content(head, name)
    if found not in (UNKNOWN, _TEXT, _ZEROS):
        return found
    named = _BY_SUFFIX.get(os.path.splitext(name)[1].lower())
    # Text that is called a mesh or a video is text, but a truncated or new variant of a kind is still of that kind.
    return found if named is None or found is _TEXT else named._replace(is_by_name=True)


def is_raw_name(name: str) -> bool:
    """Whether cameras call their raw files so, many of which begin as a TIFF does."""
    return os.path.splitext(name)[1].lower() in _RAW_SUFFIXES


def describe_raw(name: str = "") -> OtherKind:
    """A camera raw file, with the maker as far as its name tells."""
    return _RAW_SUFFIXES.get(os.path.splitext(name)[1].lower(), _RAW)


def is_zip_of_files(head: bytes) -> bool:
    """Whether a file is a zip that somebody packed, rather than a document that is a zip inside."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and _describe_zip(head) is ZIP


def _by_content(head: bytes, name: str) -> OtherKind:
    if not head.strip(b"\x00"):
        return _ZEROS
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            return kind
    if _NETPBM.match(head):
        return _PNM
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _describe_zip(head)
    if head.startswith(_OLD_OFFICE):
        return _BY_SUFFIX.get(os.path.splitext(name)[1].lower(), _OFFICE)
    brands = media_brands(head)
    if brands:
        return next((_ISO_BRANDS[brand] for brand in brands if brand in _ISO_BRANDS), _VIDEO)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    # A transport stream has a 0x47 every 188 bytes, that of a camcorder every 192.
    if any(head[start : start + 5 * step : step] == b"G" * 5 for start, step in ((0, 188), (4, 192))):
        return _VIDEO
    return _describe_text(head[:1024])


def _describe_zip(head: bytes) -> OtherKind:
    """Which document a zip is, or that it is none."""
    for mark, kind in _IN_ZIPS:
        if mark in head[:256]:
            return kind
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head or b"docProps/" in head[:256]:
        return next((kind for mark, kind in _IN_OFFICE_ZIPS if mark in head), _OFFICE)
    return ZIP


def _describe_text(head: bytes) -> OtherKind:
    """What kind of text `head` is the beginning of, or that it is none."""
    lowered = head.lower()
    for mark, kind in _MARKUP:
        if mark in lowered and b"\x00" not in head:
            return kind
    # A character may be cut at the end of `head`, so what cannot be read there is let go.
    text = head.decode("utf-8", errors="ignore")
    is_text = len(text.encode()) >= len(head) - 3 and all(char.isprintable() or char.isspace() for char in text)
    return _TEXT if text and is_text else UNKNOWN
