"""What all figures share: paper, colours, fonts, names that are safe to draw, and the way to PNG bytes.

Figures are made through `Figure` alone, so nothing here depends on a display or on pyplot's list of open figures.
"""

import functools
import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from tellapart.translation import ENGLISH, current_language, use_language
from tellapart.translation import gettext as _

# Okabe and Ito's colours, told apart with every kind of colour blindness (https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
TRAIN_COLOUR, VALIDATION_COLOUR = PALETTE[0], PALETTE[5]
INK = "#222222"
FAINT_INK = "#666666"
GRID_COLOUR = "#E4E4E4"

_BASE_FAMILY = "DejaVu Sans"  # comes with matplotlib
_OTHER_FAMILIES = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans", "WenQuanYi Zen Hei",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Arial Unicode MS",
)  # fmt: skip
_LONGEST_DESCRIPTION = 24


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of that size in inches, with its own Agg canvas."""
    layout = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14)
    figure = Figure(figsize=(width, height), facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def drawn_language() -> Iterator[None]:
    """While the block or the decorated function runs, the language is one whose characters the fonts have.

    That is the language of the process, or English where no installed font could show it.
    """
    if current_language() == ENGLISH or _known_characters().issuperset(map(ord, _("photos"))):
        yield
    else:
        with use_language(ENGLISH):
            yield


def style_axes(axes: Axes, grid_axis: str) -> None:
    """A frame without top and right edge, and light grid lines behind the data, across `grid_axis` ("x" or "y")."""
    axes.set_axisbelow(True)
    axes.grid(False)
    axes.grid(True, axis="x" if grid_axis == "x" else "y", color=GRID_COLOUR, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color("#BBBBBB")
    axes.tick_params(colors=FAINT_INK, labelsize=10, length=0)


def drawable(text: str, longest: int = 40) -> str:
    """The text as a figure can show it: on one line, without formulas, every character in a font that is installed.

    `$` is escaped, for matplotlib would read a formula; line ends become spaces, other control characters nothing;
    a character that no font has becomes its Unicode name in brackets where that is short, else its number:
    `[dog face]`, `[U+65E5]`.

    Args:
        text: any string, also with characters that are not Unicode (from undecodable file names).
        longest: characters after which the middle is left out.
    """
    shown = "".join(_drawable_character(character) for character in text)
    shown = " ".join(shown.split()) or _("(no name)")
    if len(shown) > longest:
        keep = longest - 1
        shown = f"{shown[: keep - keep // 3]}…{shown[-(keep // 3) :]}"
    return shown.replace("$", r"\$")


def figure_png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as a PNG file that says it is ours; the same figure gives the same bytes.

    Args:
        figure: its texts get the fonts that hold their characters.
        dpi: pixels per inch.
    """
    families = list(font_families())
    for text in figure.findobj(Text):
        text.set_fontfamily(families)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": "tellapart"})
    return buffer.getvalue()


@functools.cache
def font_families() -> tuple[str, ...]:
    """The font families that text is drawn with, the first that has a character wins; those that are installed."""
    installed = {font.name for font in fontManager.ttflist}
    return (_BASE_FAMILY, *(family for family in _OTHER_FAMILIES if family in installed))


@functools.cache
def _known_characters() -> frozenset[int]:
    known: set[int] = set()
    for family in font_families():
        font = get_font(findfont(FontProperties(family=[family])))
        known.update(font.get_charmap())
    return frozenset(known)


def _drawable_character(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or character in "\t\r\n":
        return " "
    is_joiner = category in ("Cf", "Cc") or "\ufe00" <= character <= "\ufe0f"
    if is_joiner:
        return ""
    if ord(character) in _known_characters():
        return character
    name = unicodedata.name(character, "")
    is_short = 0 < len(name) <= _LONGEST_DESCRIPTION and "-" not in name
    return f"[{name.lower()}]" if is_short else f"[U+{ord(character):04X}]"
