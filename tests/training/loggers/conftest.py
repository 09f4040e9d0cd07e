import pytest

from tests.training import small


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data of a small training, and in `plain` a run of it without loggers."""
    folder = tmp_path_factory.mktemp("data")
    small.write_data(folder)
    small.run(small.plan(folder), folder / "plain")
    return folder
