"""The storage of studies, by its URL: what may be wrong with it, and processes that create one at the same time."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from shlex import quote
from time import sleep
from typing import TypeVar

from cnncli.errors import CnncliError, UsageError

URLS = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Packages of modules with another name."""
PACKAGES = ("optuna", "sqlalchemy", "alembic", "psycopg", "psycopg2", "pymysql", "MySQLdb")
"""What raises the errors of a storage; sqlite3 has no frames of its own."""
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds before each further attempt to create what another process creates at the same time."""
COLLISION = re.compile("already exists|UNIQUE constraint|duplicate|database is locked", re.IGNORECASE)
R = TypeVar("R")


def hidden(text: str) -> str:
    """The text without passwords of URLs."""
    text = re.sub(r"(://[^:@/\s]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def known_url(url: str) -> str:
    """The URL, with the driver that there is. Raises UsageError for one that is not of a database."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, separator, rest = url.partition("://")
    if not separator:
        raise UsageError(f"--storage must be {URLS}; received no ://")
    if scheme == "postgresql" and find_spec("psycopg2") is None:
        scheme = "postgresql+psycopg"
    try:
        make_url(f"{scheme}://{rest}").get_dialect()
    except (ArgumentError, ValueError):
        raise UsageError(f"--storage {hidden(url)} can't be opened: use {URLS}") from None
    return f"{scheme}://{rest}"


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Tell what is wrong with the storage, without its password; other errors pass."""
    try:
        yield
    except CnncliError:
        raise
    except Exception as error:
        if not is_of_storage(error):
            raise
        raise _told(url, error) from None


def is_of_storage(error: Exception) -> bool:
    """Whether the error was raised in Optuna or below it, and not in what it calls."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return name.partition(".")[0] in PACKAGES


def _told(url: str, error: Exception) -> CnncliError:
    cause = _first_cause(error)
    if isinstance(error, ImportError):
        module = getattr(cause, "name", None) or ("psycopg" if url.startswith("postgresql") else "")
        package = DRIVERS.get(module, module or "a driver")
        return UsageError(f"--storage {hidden(url)} needs {package}: pip install {quote(package)}")
    said = hidden(str(cause)).strip().split("\n")[0]
    if isinstance(error, LookupError | TypeError | ValueError | AttributeError):
        return CnncliError(f"--storage {hidden(url)}: the study is damaged ({type(error).__name__}: {said})")
    return CnncliError(f"--storage {hidden(url)} can't be used: {said}")


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def together(create: Callable[[], R]) -> R:
    """What `create` returns; it is called again where another process creates the same at the same time."""
    for wait in WAITS:
        try:
            return create()
        except Exception as error:
            if not COLLISION.search(str(_first_cause(error))):
                raise
        sleep(wait)
    return create()
