"""The catalog as a person sees it, and what the program says of a newer document of the vendor."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit import document, program
from kit.program import COMPLETE, SOME_FAILED, USAGE

CITATIONS = "/v2/reports/citations"


def schema(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Where the document declares an object."""
    return lambda whole: whole["components"]["schemas"][name]["properties"]


def test_list_has_every_stream_with_its_costs(tmp_path: Path) -> None:
    listed = program.run("streams", "--output", "json", cwd=tmp_path, key=False).expect(COMPLETE).json()

    names = [one["name"] for one in listed]
    assert len(names) == len(set(names)) > 150
    assert all(one["requests"] and one["about"] and one["columns"] for one in listed)
    assert len({tuple(sorted(one)) for one in listed}) == 1, "every stream has the same members"


def test_list_is_narrowed_by_tiers_and_patterns(tmp_path: Path) -> None:
    def names(*arguments: str) -> list[str]:
        shown = program.run("streams", *arguments, cwd=tmp_path, key=False).expect(COMPLETE).stdout
        return [line.split()[0] for line in shown.splitlines()[1:]]

    assert 0 < len(names("--tier", "minimal")) < len(names("--tier", "core")) < len(names())
    assert all(name.startswith("citations_v2_") for name in names("citations_v2_*"))
    assert set(names("--tier", "core", "citations_*")) < set(names("citations_*"))
    output = program.run("streams", "visibilty_v2", cwd=tmp_path, key=False).expect(USAGE).stderr
    assert "did you mean `visibility_v2`?" in output


def test_every_stream_is_shown(tmp_path: Path) -> None:
    listed = program.run("streams", "--output", "json", cwd=tmp_path, key=False).json()
    for one in (listed[0], listed[len(listed) // 2], listed[-1]):
        shown = program.run("streams", one["name"], cwd=tmp_path, key=False).expect(COMPLETE).stdout
        assert one["about"] in shown
        assert all(column["name"] in shown for column in one["columns"])
        assert "_extra" in shown
        assert "_run_id" in shown


def test_known_document_does_not_differ(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document.whole()))

    ended = program.run("streams", "diff", "--openapi", "openapi.json", cwd=tmp_path, key=False)

    assert ended.expect(COMPLETE).stdout.startswith("no differences")


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("new_operation", lambda whole: whole["paths"].update({"/v2/reports/moods": {"post": {"responses": {}}}})),
    ("removed_operation", lambda whole: whole["paths"].pop("/v1/org/regions")),
    ("new_parameter", lambda whole: schema("CitationsV2Query")(whole).update(mood={"type": "string"})),
    ("removed_parameter", lambda whole: schema("CitationsV2Query")(whole).pop("entity")),
    ("changed_parameter", lambda whole: schema("CitationsV2Query")(whole)["entity"]["enum"].append("mood")),
    ("new_field", lambda whole: schema("CitationRow")(whole).update(mood={"type": "string"})),
    ("removed_field", lambda whole: schema("CitationRow")(whole).pop("count")),
    ("changed_field", lambda whole: schema("CitationRow")(whole).update(count={"type": "string"})),
]


@pytest.mark.parametrize(("kind", "change"), CHANGES, ids=[kind for kind, _ in CHANGES])
def test_changed_document_is_reported_once(tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], Any]) -> None:
    newer = copy.deepcopy(document.whole())
    change(newer)
    (tmp_path / "openapi.json").write_text(json.dumps(newer))

    diff = ("streams", "diff", "--openapi", "openapi.json")
    [output] = program.run(*diff, "--output", "json", cwd=tmp_path, key=False).expect(SOME_FAILED).json()
    words = program.run(*diff, cwd=tmp_path, key=False).expect(SOME_FAILED).stdout

    assert output["kind"] == kind
    assert words.count("\n") == 1
    assert output["impact"] in words
    assert output["operation"] in words


def test_invalid_document_is_rejected_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "text.yaml").write_text("openapi: 3.1.0\n")
    (tmp_path / "other.json").write_text("{}")
    for name, reason in [("none.json", "cannot read"), ("text.yaml", "is not JSON"), ("other.json", "OpenAPI")]:
        output = program.run("streams", "diff", "--openapi", name, cwd=tmp_path, key=False).expect(USAGE).stderr
        assert name in output
        assert reason in output
        assert "help:" in output
