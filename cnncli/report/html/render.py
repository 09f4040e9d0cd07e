"""The page's record as HTML, by the templates."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cnncli.escaping import printable
from cnncli.report.html.page import Page
from cnncli.report.pictures import theme

TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """The page as HTML. All its texts are escaped; only `Markup` is not."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    style = theme.variables() + theme.css(theme.ROLES) + (TEMPLATES / "page.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        page=page, style=Markup(style), script=Markup(script), script_digest=digest
    )


def _finalize(value: Any) -> Any:
    """Escape control characters, which HTML does not allow."""
    return printable(value) if type(value) is str else value
