"""The language of what people read: English as it stands in the code, or what a catalogue has for it.

Every sentence stands in the code in English, wrapped as `_("{name} is empty").format(name=name)`, and is its own key in
the catalogue. Where there is no catalogue, or the sentence is missing from it, it is printed as it stands. JSON keys,
CSV columns, the words that programs compare and the names of classes never follow the language.

The language is the process's, so that all threads print the same one. `translations/make_messages.py` collects the
sentences and compiles the catalogues.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tellapart.errors import ConfigError

if TYPE_CHECKING:
    from gettext import GNUTranslations

ENGLISH = "en"
LANGUAGES = (ENGLISH, "zh")
# The variables that name a language, the strongest first, as for GNU gettext.
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
LOCALE_DIR = Path(__file__).with_name("locale")
# A call in a script of a page of what it looks its sentences up with.
SCRIPT_MESSAGE = re.compile(r'\b(?:_|ngettext)\(\s*"((?:[^"\\]|\\.)*)"(?:,\s*"((?:[^"\\]|\\.)*)")?')
_MANY = 100


class _Current:
    """The language of this process, and its catalogue; English has none."""

    language = ENGLISH
    catalogue: "GNUTranslations | None" = None


def gettext(message: str) -> str:
    """The message in the language of the process; imported as `_`."""
    catalogue = _Current.catalogue
    return message if catalogue is None else catalogue.gettext(message)


def ngettext(singular: str, plural: str, num: int) -> str:
    """The form of the message that goes with `num`, in the language of the process."""
    catalogue = _Current.catalogue
    if catalogue is None:
        return singular if num == 1 else plural
    return catalogue.ngettext(singular, plural, num)


def gettext_noop(message: str) -> str:
    """The message as it is; marks a constant of a module for the catalogue, which is translated where it is used."""
    return message


def script_texts(script: str) -> dict[str, str]:
    """What the script of a page says, English to the language of the process; nothing where that is English.

    Of two forms the script has the English ones; another language has one here, that of large numbers.
    """
    if current_language() == ENGLISH:
        return {}
    texts = {}
    for singular, plural in SCRIPT_MESSAGE.findall(script):
        english, many = json.loads(f'["{singular}", "{plural}"]')
        texts[english] = ngettext(english, many, _MANY) if many else gettext(english)
    return texts


class LanguageSwitch:
    """What `use_language` gives: as a block, it ends with the language there was before."""

    def __init__(self, earlier: str) -> None:
        self._earlier = earlier

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        use_language(self._earlier)


def use_language(name: str) -> LanguageSwitch:
    """From now on, messages, reports and pictures of this process are in that language.

    In a `with` statement this holds for the block. All threads of the process share the language.

    Args:
        name: `en`, `zh`, or how a system spells them, such as `zh_CN.UTF-8`.

    Raises:
        ConfigError: there is no catalogue of that language.
    """
    language = _language_of_tag(name)
    if language is None:
        raise ConfigError(
            gettext("there is no language {value!r}. Give one of {names}.").format(
                value=name, names=", ".join(LANGUAGES)
            ),
            field="language",
            value=name,
        )
    switch = LanguageSwitch(_Current.language)
    _Current.catalogue = _load_catalogue(language)
    _Current.language = language
    return switch


def current_language() -> str:
    """The language of the process, as an HTML page names it: `en` or `zh`."""
    return _Current.language


def language_of_environment(environment: Mapping[str, str]) -> str:
    """The language that the variables of a process ask for; English where they ask for none that there is.

    The first of `LANGUAGE`, `LC_ALL`, `LC_MESSAGES` and `LANG` that is set decides. `LANGUAGE` may name several, with
    colons between, and the first that there is counts.
    """
    value = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return next((language for tag in value.split(":") if (language := _language_of_tag(tag))), ENGLISH)


def _language_of_tag(tag: str) -> str | None:
    """The language of `zh`, `zh-CN`, `zh_CN.UTF-8` or the like; `None` where there is none."""
    name = tag.strip().lower().replace("-", "_").partition(".")[0].partition("_")[0]
    return name if name in LANGUAGES else None


def _load_catalogue(language: str) -> "GNUTranslations | None":
    if language == ENGLISH:
        return None
    from gettext import GNUTranslations

    with open(LOCALE_DIR / language / "LC_MESSAGES" / "tellapart.mo", "rb") as file:
        return GNUTranslations(file)
