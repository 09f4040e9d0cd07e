"""Addresses of MLflow's stores, and who may be told the user's credentials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from cnncli.errors import CnncliError

URI, USER, PASSWORD, TOKEN = (f"MLFLOW_TRACKING_{word}" for word in ("URI", "USERNAME", "PASSWORD", "TOKEN"))
RULE = (
    f"an address http://… or https://… without user name and password, which are {USER} and {PASSWORD}, or a folder "
    "(a database is reached through its server: mlflow server --backend-store-uri …)"
)
FOLDER = "mlruns"


@dataclass(frozen=True)
class Web:
    """A server. `url` has no credentials; `user` and `password`, or `token`, are those to send it."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def address(uri: str) -> Path | str | None:
    """The folder, or the URL of a server; None for what is neither, or has credentials."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if "\0" in uri or parts.username is not None or parts.password is not None:
        return None
    if parts.scheme in ("http", "https"):
        return _bare(parts) if parts.hostname and not parts.query and not parts.fragment else None
    if parts.scheme == "file":
        return Path(unquote(parts.path)) if parts.netloc in ("", "localhost") and parts.path else None
    return Path(uri) if uri and uri != "databricks" and not parts.scheme else None


def destination(uri: str | None, environment: Mapping[str, str]) -> Path | Web:
    """Where a run is logged: to the spec's `uri`, or else that of the environment.

    Where the environment has an address, its credentials are for that server only: a spec may come from anyone.
    Raises CnncliError, which names no credentials, for an address of the environment that is not supported.
    """
    own = environment.get(URI) or ""
    try:
        parts = urlsplit(own)
        trusted = address(_bare(parts)) if parts.scheme in ("http", "https") else address(own) if own else None
    except ValueError:
        trusted = None
    if uri is None and own and trusted is None:
        raise CnncliError(f"{URI} must be {RULE}")
    chosen = trusted if uri is None else address(uri)
    if not isinstance(chosen, str):
        return chosen or Path(FOLDER)
    if own and (not isinstance(trusted, str) or _origin(trusted) != _origin(chosen)):
        return Web(chosen)
    user = environment.get(USER) or unquote(parts.username or "")
    return Web(chosen, user, environment.get(PASSWORD) or unquote(parts.password or ""), environment.get(TOKEN) or "")


def _bare(parts: SplitResult) -> str:
    """A URL without credentials, and without a slash at its end."""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
