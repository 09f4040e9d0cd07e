"""Where the files that come with cnncli are."""

from pathlib import Path

import cnncli


def shipped(folder: str) -> Path:
    """The shipped `folder` ("data", "configs"): inside the package in a wheel, beside it in a checkout."""
    package = Path(cnncli.__file__).parent
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder
