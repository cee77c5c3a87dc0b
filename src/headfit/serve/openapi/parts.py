"""Pieces of an OpenAPI description: schemas, answers, parameters."""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]

TEXT: Part = {"type": "string"}
FLAG: Part = {"type": "boolean"}
PROBABILITY: Part = {"type": "number", "minimum": 0, "maximum": 1}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mM8IWfDgA0wMeAAg1MCAOfgATIxMbZbAAAA"
    "AElFTkSuQmCC"
)
"""A PNG file of 8×8 pixels in base64, for examples."""
AGAIN: Part = {
    "Retry-After": {
        "description": "Seconds after which the same request may succeed.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
ERRORS = {
    400: "The request is wrong; `error` says what is expected.",
    401: "The token is missing or wrong.",
    403: "Another website asks, or the header `Host` names another server.",
    404: "There is no such model or version.",
    405: "The address has another method.",
    413: "The body is too large, or has too many images.",
    415: "The body is of another kind.",
    429: "Too many images are waiting.",
    431: "The headers are too many or too large.",
    503: "A model is being opened, or the server is stopping.",
    504: "The answer was not ready before the deadline.",
}
"""What a status says, of all addresses alike."""
ALWAYS = (400, 401, 403, 405, 413, 431)
"""Statuses that any request may get."""
MODELS = (404, 503)
"""Statuses of requests that name a model."""
WORK = (415, 429, 504)
"""Statuses of requests that a model has to answer."""


def ref(name: str) -> Part:
    """Point to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Part, **more: Any) -> Part:
    """Describe an array."""
    return {"type": "array", "items": items, **more}


def record(properties: Part, *optional: str, **more: Any) -> Part:
    """Describe an object whose properties are all required but those that are named."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def or_null(schema: Part) -> Part:
    """Allow null, too."""
    return {"anyOf": [schema, {"type": "null"}]}


def described(schema: Part, text: str) -> Part:
    """Add a sentence to a schema."""
    return {**schema, "description": text}


def json_body(schema: Part, example: Any = None) -> Part:
    """Describe a body of JSON."""
    whole = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"application/json": whole}


def answer(text: str, schema: Part, example: Any = None) -> Part:
    """Describe an answer of JSON."""
    return {"description": text, "content": json_body(schema, example)}


def refusals(*statuses: int) -> Part:
    """Describe the errors of an address."""
    found: Part = {}
    for status in sorted({*ALWAYS, *statuses}):
        found[str(status)] = answer(ERRORS[status], ref("Error"))
        if status in (429, 503, 504):
            found[str(status)]["headers"] = AGAIN
    return found


def operation(
    name: str, text: str, group: str, responses: Part, statuses: tuple[int, ...] = (), **more: Any
) -> Part:
    """Describe one method of an address.

    Args:
        name: of the operation, for generated clients.
        text: a sentence.
        group: heading under which it is listed.
        responses: by status, those of success.
        statuses: of errors, those beside :data:`ALWAYS`.
        **more: further fields.
    """
    return {
        "operationId": name,
        "summary": text,
        "tags": [group],
        **more,
        "responses": {**responses, **refusals(*statuses)},
    }
