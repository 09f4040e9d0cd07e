"""Where the files that come with cnncli are."""

from pathlib import Path


def shipped(folder: str) -> Path:
    """The shipped `folder` ("data", "configs"): inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder
