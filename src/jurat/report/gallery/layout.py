"""Pages from templates: scripts and styles inlined, with a content security policy that admits only them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jurat.files import make_folder, written_aside
from jurat.report.gallery.page_files import Store
from jurat.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = "jurat.report.gallery"
SCRIPTS = ("dom", "data", "filter", "care", "picture", "gallery", "item", "page")
"""Files of `templates/script/`. The first defines the page's one global name, so it stays first."""
STYLES = ("page", "gallery", "item")
"""Files of `templates/style/`."""


@dataclass(frozen=True)
class Layout:
    """What the pages of a package add to the gallery, from its folder `templates/`."""

    package: str
    scripts: tuple[str, ...] = ()
    """Files of its `templates/script/`, which run after the gallery's and fill `jurat.hooks`."""
    styles: tuple[str, ...] = ()

    def all_scripts(self) -> list[str]:
        """The contents of the gallery's scripts and of its own."""
        own = [_asset(self.package, f"script/{name}.js") for name in self.scripts]
        return [_asset(_HERE, f"script/{name}.js") for name in SCRIPTS] + own

    def style(self) -> str:
        """The stylesheet: the gallery's and its own."""
        shared = [_asset(_HERE, f"style/{name}.css") for name in STYLES]
        return "".join([*shared, *(_asset(self.package, f"style/{name}.css") for name in self.styles)])


def write_page(
    layout: Layout, template: str, store: Store, columns: dict[str, Any], filling: Mapping[str, Any]
) -> None:
    """Writes the page and the folder beside it, each aside first and then renamed.

    Args:
        layout: scripts, styles and the package of the template.
        template: extends `base.html`.
        store: evidence and pictures of the rows.
        columns: what the page's scripts read (`Columns.payload`).
        filling: variables of the template.
    """
    scripts, style, out = layout.all_scripts(), layout.style(), store.place.page
    names = {
        "style": style,
        "scripts": scripts,
        "policy": content_policy(scripts, style, beside=store.apart),
        "files": store.place.files.name if store.apart else None,
        "blocks": store.blocks(columns),
        "rows": columns["n"],
    }
    make_folder(out.parent)
    with written_aside(out) as aside:
        with aside.open("w", encoding="utf-8") as file:
            page = _templates(layout.package).get_template(template)
            file.writelines(page.generate(filling, **names))
        store.commit()


def content_policy(scripts: list[str], style: str, *, beside: bool) -> str:
    """A content security policy that works for a file: it admits what the page is made of and nothing else.

    `beside`: whether data and pictures lie in a folder next to the page. Browsers differ in whether a file is
    its own `'self'`, so `file:` is admitted too; trusted types then limit scripts to the data of this page.
    """
    near = " 'self' file:" if beside else ""
    own = " ".join(f"'{_digest(text)}'" for text in scripts)
    return (
        f"default-src 'none'; img-src data:{near}; style-src '{_digest(style)}'; script-src {own}{near}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types jurat"
    )


@cache
def _asset(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _templates(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_HERE)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda value: printable(str(value))
    return environment
