"""The page in a browser: a picture, the camera and a drawing are predicted; by pointer, by keyboard, and on a phone."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from cnncli.serve.app import Server
from cnncli.serve.limits import Limits
from tests.serve.browser import CHROMIUM, page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium and no google-chrome on PATH")
DONE = """document.querySelectorAll("#bars li").length === 2 && !document.querySelector("#pictures").hidden
  && document.querySelector("#status").textContent === "" """


@pytest.fixture(scope="module")
def address(engine):
    """Of a server in a thread."""
    config = uvicorn.Config(Server(engine, Limits(), engine.meters).app(), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with page(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(params=[1000, 360])
def opened(request, browser, address):
    browser.open(address, width=request.param)
    browser.until('document.querySelector("#name").textContent === "bars"')
    return browser


def answer(browser):
    browser.until(DONE)
    names = browser.run('[...document.querySelectorAll("#bars .name")].map((each) => each.textContent)')
    assert sorted(names) == ["0", "1"]
    assert browser.run('document.querySelector("#gradcam").src.startsWith("data:image/png")')
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    return browser.run('document.querySelector("#answer").textContent')


def test_a_picture_is_predicted(opened, place, model, tmp_path):
    file = tmp_path / "bars.png"
    Image.fromarray((255 * np.load(place / "bars.npz")["x_train"][0]).astype(np.uint8)).save(file)
    root = opened.ask("DOM.getDocument")["root"]["nodeId"]
    node = opened.ask("DOM.querySelector", nodeId=root, selector="#choose")["nodeId"]
    opened.ask("DOM.setFileInputFiles", nodeId=node, files=[str(Path(file))])
    assert answer(opened) == model.predict(file).labels[0]
    opened.run('document.querySelector("#invert").click()')
    opened.until('document.querySelector("#status").textContent === "…"')
    assert answer(opened) == model.predict(file, invert=True).labels[0]


def test_a_drawing_is_fitted_and_centered_as_mnist_has_it(opened, model):
    left, top, side = opened.run(
        '(({ left, top, width }) => [left, top, width])(document.querySelector("#canvas").getBoundingClientRect())'
    )
    opened.drag([(left + side * 0.1, top + side * y) for y in (0.1, 0.2, 0.3)])
    answer(opened)
    pixels = np.array(
        opened.run("""(() => {
      const small = prepared(28);
      return [...small.getContext("2d").getImageData(0, 0, 28, 28).data].filter((_, place) => place % 4 === 0);
    })()"""),
        float,
    ).reshape(28, 28)
    rows = np.nonzero(pixels.any(1))[0]
    assert abs(len(rows) - 20) <= 1  # the box of 20 pixels
    middle = [(pixels.sum(1 - axis) * (np.arange(28) + 0.5)).sum() / pixels.sum() for axis in (0, 1)]
    assert np.abs(np.subtract(middle, 14)).max() <= 0.5
    height, width, _ = model.spec.model.input_shape
    assert opened.run("[prepared(size).height, prepared(size).width]") == [height, width]


def test_the_keyboard_does_as_much(opened):
    opened.run('document.querySelector("#tab-draw").focus()')
    opened.press("Tab")
    assert opened.run("document.activeElement.id") == "canvas"
    for _ in range(6):
        opened.press("ArrowDown", shift=True)
    answer(opened)
    opened.press("Tab")
    assert opened.run("document.activeElement.id") == "clear"
    opened.press("Enter")
    opened.until('document.querySelectorAll("#bars li").length === 0')
    opened.run('document.querySelector("#tab-draw").focus()')
    opened.press("ArrowRight")
    assert opened.run('document.activeElement.id + document.querySelector("#file").hidden') == "tab-filefalse"


def test_the_camera_gives_a_picture(opened):
    opened.run('document.querySelector("#tab-camera").click()')
    opened.until('document.querySelector("#video").videoWidth > 0')
    opened.run('document.querySelector("#take").click()')
    answer(opened)


def test_what_is_no_picture_is_told(opened, tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    root = opened.ask("DOM.getDocument")["root"]["nodeId"]
    node = opened.ask("DOM.querySelector", nodeId=root, selector="#choose")["nodeId"]
    opened.ask("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "damaged.png")])
    opened.until('document.querySelector("#status").className === "problem"')
    assert "an image must be PNG" in opened.run('document.querySelector("#status").textContent')
