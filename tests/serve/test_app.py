"""Answers over HTTP: those of `predict`, whatever the form of the request, and refusals that say what to do."""

import base64
import json
from io import BytesIO

import jsonschema
import numpy as np
import pytest
from PIL import Image

from cnncli.serve.app import Server
from cnncli.serve.limits import Limits
from cnncli.serve.openapi import description
from tests.serve.conftest import call

JSON = {"content-type": "application/json"}


def encoded(pixels, kind="PNG"):
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures(place):
    """Three images as PNG files."""
    return [encoded((255 * x).astype(np.uint8)) for x in np.load(place / "bars.npz")["x_train"][:3]]


@pytest.fixture
def expected(model, pictures):
    """What `predict` says of them."""
    return model.predict([Image.open(BytesIO(picture)) for picture in pictures])


def multipart(files):
    """The body of a form with files, by name, and its headers."""
    parts = [
        b'--bound\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%s\r\n" % (name.encode(), content)
        for name, content in files
    ]
    return b"".join([*parts, b"--bound--\r\n"]), {"content-type": "multipart/form-data; boundary=bound"}


def told(answer):
    status, _, body = answer
    return status, json.loads(body)["error"]


def check(document, expected, names):
    schema = description(Limits())["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(document, schema["schema"])
    assert [each["file"] for each in document["predictions"]] == names
    assert [each["class"] for each in document["predictions"]] == list(expected.labels[: len(names)])
    found = np.array([each["probabilities"] for each in document["predictions"]], np.float32)
    assert (found == expected.probabilities[: len(names)]).all()


def test_an_image_is_taken_as_it_is(app, pictures, expected):
    for kind in ("image/png", "application/octet-stream", ""):
        status, headers, body = call(app, "POST", "/predict", pictures[0], {"content-type": kind})
        assert (status, headers["content-type"]) == (200, "application/json")
        check(json.loads(body), expected, ["[0]"])


def test_files_of_a_form_keep_their_names(app, pictures, expected):
    names = ["a.png", "b.png", "c.png"]
    body, headers = multipart(zip(names, pictures, strict=True))
    status, _, body = call(app, "POST", "/predict", body, headers)
    assert status == 200
    check(json.loads(body), expected, names)


def test_json_has_base64_or_data_urls(app, pictures, expected):
    texts = [base64.b64encode(picture).decode() for picture in pictures]
    status, _, body = call(app, "POST", "/predict", json.dumps({"images": texts}).encode(), JSON)
    assert status == 200
    check(json.loads(body), expected, ["[0]", "[1]", "[2]"])
    one = json.dumps({"image": f"data:image/png;base64,{texts[0]}"}).encode()
    check(json.loads(call(app, "POST", "/predict", one, JSON)[2]), expected, ["[0]"])


def test_brightness_can_be_inverted(app, model, pictures):
    found = json.loads(call(app, "POST", "/predict?invert=true", pictures[0])[2])["predictions"][0]
    turned = model.predict(Image.open(BytesIO(pictures[0])), invert=True)
    assert found["probabilities"] == [float(str(share)) for share in turned.probabilities[0]]
    assert told(call(app, "POST", "/predict?invert=maybe", pictures[0])) == (
        400,
        "invert must be true or false; received 'maybe'",
    )


def test_an_unusable_image_among_others_is_told_by_itself(app, pictures, expected):
    noise = encoded(np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8))
    files = [("a.png", pictures[0]), ("notes.txt", b"no picture"), ("empty.png", b""), ("cut.png", noise[:-200])]
    body, headers = multipart(files)
    status, _, body = call(app, "POST", "/predict", body, headers)
    first, second, third, fourth = json.loads(body)["predictions"]
    assert status == 200
    assert first["class"] == expected.labels[0]
    assert second["error"].endswith("its content is not a supported image")
    assert third["error"] == "an image must not be empty; received 0 bytes"
    assert fourth["error"].startswith("can't be read: ")


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "there is no image in the request; see /openapi.json"),
        (b"{", JSON, 400, "the body must be JSON: "),
        (b"[]", JSON, 400, 'the JSON must be {"image": "base64"} or {"images": ["base64", …]}'),
        (b'{"image": "a", "images": []}', JSON, 400, "the JSON must be "),
        (b'{"images": "a"}', JSON, 400, '"images" must be a list; received str'),
        (b'{"image": 3}', JSON, 400, "an image in JSON must be base64, as a string; received int"),
        (b'{"image": "!"}', JSON, 400, "an image in JSON must be base64; it has other characters"),
        (b'{"images": []}', JSON, 400, "there is no image in the request"),
        (b"no picture", {}, 422, "[0]: an image must be PNG, "),
        (bytes(1 << 17), {}, 413, "a request must have at most 0.0625 MiB"),
        (bytes(1 << 17), {"content-length": str(1 << 17)}, 413, "a request must have at most 0.0625 MiB"),
    ],
)
def test_what_can_not_be_used_is_refused_in_a_line(app, body, headers, status, words):
    found, text = told(call(app, "POST", "/predict", body, headers))
    assert (found, text[: len(words)]) == (status, words)


def test_a_large_picture_is_refused_by_its_header(app):
    large = encoded(np.zeros((200, 200), np.uint8))
    assert told(call(app, "POST", "/predict", large)) == (
        422,
        "[0]: an image must have at most 10,000 pixels; it has 40,000",
    )


def test_too_many_images_are_refused(app, pictures):
    text = base64.b64encode(pictures[0]).decode()
    answer = call(app, "POST", "/predict", json.dumps({"images": [text] * 9}).encode(), JSON)
    assert told(answer) == (413, "a request must have at most 8 images; it has 9")


def test_a_slow_request_ends(engine, pictures):
    app = Server(engine, Limits(seconds=0.05), engine.meters).app()
    status, text = told(call(app, "POST", "/predict", chunks=[pictures[0][:9], pictures[0][9:]], pause=0.04))
    assert (status, text) == (408, "a request must arrive within 0.05 s")


def test_explain_shows_what_the_network_saw(app, model, pictures):
    status, _, body = call(app, "POST", "/explain", pictures[0])
    found = json.loads(body)
    schema = description(Limits())["paths"]["/explain"]["post"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(found, schema["schema"])
    seen = np.asarray(Image.open(BytesIO(base64.b64decode(found["input"].partition(",")[2]))))
    assert status == 200
    assert (seen[..., 0] == np.asarray(Image.open(BytesIO(pictures[0])))).all()
    (cam,) = found["gradcam"]
    assert Image.open(BytesIO(base64.b64decode(cam["image"].partition(",")[2]))).size == seen.shape[1::-1]
    assert found["class"] in model.classes
    body, headers = multipart([("a", pictures[0]), ("b", pictures[1])])
    assert told(call(app, "POST", "/explain", body, headers)) == (400, "explain takes one image; received 2")


def test_the_model_is_described(app, model):
    found = json.loads(call(app, "GET", "/metadata")[2])
    assert found["classes"] == list(model.classes)
    assert found["input_shape"] == list(model.spec.model.input_shape)
    assert found["digest"] == model.file.digest
    assert json.loads(call(app, "GET", "/healthz")[2]) == {"status": "ok"}


def test_requests_and_images_are_counted(app, pictures):
    def count(name):
        lines = call(app, "GET", "/metrics")[2].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = count("cnncli_images_total"), count('cnncli_requests_total{code="422",path="/predict"}')
    call(app, "POST", "/predict", pictures[0])
    call(app, "POST", "/predict", b"no picture")
    after = count("cnncli_images_total"), count('cnncli_requests_total{code="422",path="/predict"}')
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]


def test_other_hosts_are_refused_on_a_loopback_address(app, engine):
    assert call(app, "GET", "/metadata", headers={"host": "evil.example"})[0] == 421
    assert call(app, "GET", "/metadata", headers={"host": "localhost:99"})[0] == 200
    assert call(app, "GET", "/metadata", headers={"host": "[::1]:99"})[0] == 200
    public = Server(engine, Limits(), engine.meters).app()
    assert call(public, "GET", "/metadata", headers={"host": "evil.example"})[0] == 200


def test_the_page_runs_its_own_script_only(app):
    status, headers, body = call(app, "GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in headers["content-security-policy"]
    assert b'<script src="page.js">' in body
    assert call(app, "GET", "/page.js")[1]["content-type"] == "text/javascript; charset=utf-8"
    assert call(app, "GET", "/page.css")[0] == 200
    assert call(app, "GET", "/nothing")[0] == 404
    assert call(app, "GET", "/predict")[0] == 405
