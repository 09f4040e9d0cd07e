"""What errors of the system and of other packages mean, in one line: what failed and what helps."""

import errno

from cnncli import hints

OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What fails without a file's name where standard output leads to a full disk or a broken one."""

DISTRIBUTED = {"yaml": "PyYAML", "PIL": "pillow"}
"""Packages that pip knows under another name."""


def told(error: Exception) -> str:
    """The line for an error that is no bug of ours, or nothing."""
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory{f': {error}' if str(error) else ''}; smaller batches, or less data, need less"
        )
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("cnncli"):
        package = error.name.partition(".")[0]
        return f"the package {package}, which cnncli needs, is missing: pip install {DISTRIBUTED.get(package, package)}"
    if isinstance(error, OSError) and error.filename:
        return f"'{error.filename}' can't be used: {hints.reason(error)}"
    if isinstance(error, OSError) and error.errno in OUTPUT:
        return f"the output can't be written: {hints.reason(error)}"
    return ""
