"""The jinja2 environment of all pages: escapes every value, knows no name that is not given, speaks the language."""

from typing import TYPE_CHECKING, Any

from tellapart.translation import gettext, ngettext

if TYPE_CHECKING:
    import jinja2


def make_environment(package: str, **settings: Any) -> "jinja2.Environment":
    """The templates in the folder `templates` of a package, as `tellapart.report`; settings are those of jinja2."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        **settings,
    )
    environment.policies["ext.i18n.trimmed"] = True  # how a sentence is broken into lines is no part of it
    environment.install_gettext_callables(gettext, ngettext)  # type: ignore[attr-defined]
    return environment
