"""The vendor's OpenAPI document: what it says of requests and answers.

The document is not part of this repository. `PROFOUND_OPENAPI` names the file; without it the checks here fail, because
`.ci/run` promises them.
"""

import json
import os
import re
import urllib.parse
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


@cache
def _document() -> dict[str, Any]:
    path = Path(os.environ.get("PROFOUND_OPENAPI", ""))
    assert path.is_file(), f"PROFOUND_OPENAPI must name the vendor's OpenAPI document, and `{path}` is not a file"
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def whole() -> dict[str, Any]:
    """The document itself, which must not be changed."""
    return _document()


def _problems(schema: dict[str, Any], value: Any) -> list[str]:
    # References of the document begin at its root. No format is asserted: version 1 declares its dates as date-time,
    # and says as well that plain dates are accepted.
    validator = Draft202012Validator({"components": _document()["components"], **schema})
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    declared: dict[str, Any]

    @staticmethod
    def of(method: str, path: str) -> "Operation":
        """The operation that a request is meant for."""
        for template, methods in _document()["paths"].items():
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in methods:
                return Operation(methods[method.lower()])
        raise AssertionError(f"the document has no {method} {path}")

    def problems_of_query(self, query: str) -> list[str]:
        """What is wrong with the parameters of a request."""
        declared = {one["name"]: one["schema"] for one in self.declared.get("parameters", []) if one["in"] == "query"}
        given = urllib.parse.parse_qs(query, keep_blank_values=True)
        found = [f"no parameter `{name}`" for name in given.keys() - declared.keys()]
        for name in given.keys() & declared.keys():
            # Parameters are text; each must be good as one of the types that text can mean.
            readings = [[_number(value) for value in given[name]], given[name]]
            values = [reading if len(reading) > 1 else reading[0] for reading in readings] + readings
            if all(_problems(declared[name], value) for value in values):
                found.append(f"`{name}` may not be {given[name]}")
        return found

    def problems_of_body(self, body: Any) -> list[str]:
        """What is wrong with the body of a request."""
        declared = self.declared.get("requestBody")
        if declared is None:
            return [] if body is None else ["a body, where none is declared"]
        return _problems(declared["content"]["application/json"]["schema"], body)

    def problems_of_answer(self, kind: str, content: bytes) -> list[str]:
        """What is wrong with a successful answer."""
        media = kind.split(";")[0]
        schema = self.declared["responses"]["200"]["content"][media]["schema"]
        if media == "application/json":
            return _problems(schema, json.loads(content))
        # The first alternative is the summary, the second a row.
        summary, row = schema["oneOf"]
        (first, announced), *rows = events(content)
        found = _problems(summary, announced) + ([] if first == "summary" else [f"`{first}` comes first"])
        for name, value in rows:
            found += _problems(row, value) + ([] if name in ("result", "row") else [f"an event `{name}`"])
        return found


def events(content: bytes) -> list[tuple[str, Any]]:
    """The events of a stream, with their names."""
    found = []
    # Not `splitlines`: texts hold other signs that Python takes for the end of a line.
    for block in content.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
