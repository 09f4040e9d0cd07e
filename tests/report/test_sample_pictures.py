"""The pictures of docs/pictures.md are there and, where no training is needed, up to date."""

from xml.etree import ElementTree

import pytest

from tests.report.sample_pictures import FOLDER, OF_RUN, model_plot


def test_the_diagram_is_up_to_date():
    assert (FOLDER / "model.svg").read_text() == model_plot().svg()


@pytest.mark.parametrize("what", OF_RUN)
def test_the_others_are_pictures(what):
    root = ElementTree.parse(FOLDER / f"{what}.svg").getroot()
    assert root.find("{http://www.w3.org/2000/svg}title").text
