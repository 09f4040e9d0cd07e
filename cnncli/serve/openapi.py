"""The interface as OpenAPI 3.1."""

from typing import Any

from cnncli.serve.limits import Limits
from cnncli.version import __version__

ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
IMAGE = {"type": "string", "contentEncoding": "base64", "description": "An encoded image, or a data URL of it."}
INVERT = {
    "name": "invert",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "Invert brightness first, for dark digits on white paper.",
}
PREDICTION = {
    "type": "object",
    "description": "As `cnncli predict --json` has it; what there is depends on the model's outputs.",
    "properties": {
        "file": {"type": "string"},
        "class": {"type": "string"},
        "classes": {"type": "array", "items": {"type": "string"}},
        "probability": {"type": "number"},
        "probabilities": {"type": "array", "items": {"type": "number"}},
        "values": {"type": "array", "items": {"type": "number"}},
        "error": {"type": "string", "description": "Why this image could not be used."},
    },
    "required": ["file"],
}
PREDICTIONS = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "classes": {"type": "array", "items": {"type": "string"}},
        "predictions": {"type": "array", "items": PREDICTION},
    },
    "required": ["model", "classes", "predictions"],
}
EXPLANATION = {
    "type": "object",
    "properties": {
        "input": {"type": "string", "description": "What the network saw: the data URL of a PNG file."},
        "gradcam": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"layer": {"type": "string"}, "image": {"type": "string"}},
                "required": ["layer", "image"],
            },
        },
        "class": {"type": ["string", "null"]},
    },
    "required": ["input", "gradcam", "class"],
}


def description(limits: Limits) -> dict[str, Any]:
    """The document, with the limits of this server."""
    refused = {
        "400": "The request has no image, or is not as described.",
        "408": f"The request did not arrive within {limits.seconds:g} s.",
        "413": f"More than {limits.body:,} bytes or {limits.images} images.",
        "422": "No image of the request can be used.",
        "503": "Too much waits, or the answer took too long: try again after Retry-After seconds.",
    }
    several = {"type": "object", "properties": {"images": {"type": "array", "items": IMAGE}}, "required": ["images"]}
    single = {"type": "object", "properties": {"image": IMAGE}, "required": ["image"]}
    binary = {"schema": {"type": "string", "format": "binary"}}
    files = {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}
    content = {
        "image/*": binary,
        "application/octet-stream": binary,
        "multipart/form-data": {"schema": files},
        "application/json": {"schema": {"oneOf": [single, several]}},
    }
    posts = {
        path: {
            "post": {
                "summary": summary,
                "parameters": [INVERT],
                "requestBody": {"required": True, "content": content},
                "responses": {
                    "200": _response("The answer.", schema),
                    **{code: _response(text, ERROR) for code, text in refused.items()},
                },
            }
        }
        for path, summary, schema in (
            ("/predict", "Predict the classes, or other outputs, of one or several images.", PREDICTIONS),
            ("/explain", "Show what the network saw of one image, and Grad-CAM of the predicted class.", EXPLANATION),
        )
    }
    gets = {
        path: {"get": {"summary": summary, "responses": {"200": {"description": "The answer."}}}}
        for path, summary in (
            ("/healthz", "Tell whether the server answers."),
            ("/metadata", "Describe the model and the limits."),
            ("/metrics", "Count requests, images and times, for Prometheus."),
            ("/openapi.json", "Describe this interface."),
        )
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "cnncli serve", "version": __version__},
        "paths": {**posts, **gets},
    }


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
