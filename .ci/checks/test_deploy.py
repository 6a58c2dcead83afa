"""What is shipped to start the program fits it: its configuration, its arguments, its exit codes, its metrics."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/profound-export"
TOOLS = Path(os.environ.get("PROFOUND_EXPORT_TOOLS", ROOT / "target/ci/tools"))
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
BASES = ("cronjob", "daemon", "acme")
VALUES = ("one", "many", "daemon")
# Kinds of the Prometheus operator, whose schemas are not Kubernetes' own.
OPERATOR = {"ServiceMonitor", "PrometheusRule"}
HOPELESS = {program.USAGE, program.KEY_REJECTED, program.BAD_CONFIG}

Objects = list[dict[str, Any]]


def _tool(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOLS / command[0], *command[1:]], capture_output=True, text=True, cwd=ROOT, check=False)


@cache
def _kustomized(base: str) -> Objects:
    done = _tool("kubectl", "kustomize", DEPLOY / "kubernetes" / base)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@cache
def _templated(values: str) -> Objects:
    done = _tool("helm", "template", "nightly", CHART, "--namespace", "data", "--values", CHART / f"ci/{values}.yaml")
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def _refused(tmp_path: Path, changes: dict[str, Any], values: str = "one") -> str:
    """Why helm renders nothing with `changes` over a set of values that is right."""
    (tmp_path / "changes.yaml").write_text(yaml.safe_dump(changes))
    files = ("--values", CHART / f"ci/{values}.yaml", "--values", tmp_path / "changes.yaml")
    done = _tool("helm", "template", "nightly", CHART, *files)
    assert done.returncode != 0, done.stdout
    return done.stderr


def _everything() -> Iterator[tuple[str, Objects]]:
    yield from ((base, _kustomized(base)) for base in BASES)
    yield from ((f"{values}.yaml", _templated(values)) for values in VALUES)


def _of_kind(objects: Objects, *kinds: str) -> Objects:
    return [one for one in objects if one["kind"] in kinds]


def _pods(objects: Objects) -> list[dict[str, Any]]:
    """The specifications of all pods, tests of the chart included."""
    found = [one["spec"] for one in _of_kind(objects, "Pod")]
    found += [one["spec"]["template"]["spec"] for one in _of_kind(objects, "Deployment")]
    return found + [one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in _of_kind(objects, "CronJob")]


def _unit(name: str) -> list[tuple[str, str]]:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return [
        (name, value) for name, _, value in (line.partition("=") for line in lines if "=" in line and line[0] != "#")
    ]


def _of_unit(unit: str, name: str) -> list[str]:
    return [value for key, value in _unit(unit) if key == name]


def _is_taken(arguments: list[str], tmp_path: Path) -> None:
    """The command line is understood: `--help` is not reached past a mistake before it."""
    program.run(*arguments, "--help", cwd=tmp_path).expect(program.COMPLETE)
    # Nothing is configured in an empty directory, so a command line that is right ends with that.
    assert program.run(*arguments, cwd=tmp_path, key=False).code != program.USAGE


# What the program takes.


@pytest.mark.parametrize(("origin", "objects"), _everything(), ids=lambda one: one if isinstance(one, str) else "")
def test_configuration_in_every_manifest_is_valid(tmp_path: Path, origin: str, objects: Objects) -> None:
    configs = [one["data"]["jobs.toml"] for one in _of_kind(objects, "ConfigMap")]
    assert configs, origin
    for config in configs:
        (tmp_path / "jobs.toml").write_text(config)
        # The file of roots is not here; `config` reads no file but its own.
        output = program.run("config", "--output", "json", cwd=tmp_path).expect(program.COMPLETE)
        assert "spool" in output.stdout
        # A schedule that starts the run, and the one the program reckons with, are one.
    for cronjob in _of_kind(objects, "CronJob"):
        volumes = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
        [name] = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "config"]
        [config] = [
            one["data"]["jobs.toml"] for one in _of_kind(objects, "ConfigMap") if one["metadata"]["name"] == name
        ]
        assert f'cron = "{cronjob["spec"]["schedule"]}"' in config
        assert f'timezone = "{cronjob["spec"]["timeZone"]}"' in config


@pytest.mark.parametrize(("origin", "objects"), _everything(), ids=lambda one: one if isinstance(one, str) else "")
def test_command_lines_of_every_pod_are_valid(tmp_path: Path, origin: str, objects: Objects) -> None:
    assert _pods(objects), origin
    for arguments in {tuple(container["args"]) for pod in _pods(objects) for container in pod["containers"]}:
        _is_taken(list(arguments), tmp_path)


@pytest.mark.parametrize("unit", UNITS)
def test_command_lines_of_every_unit_are_valid(tmp_path: Path, unit: str) -> None:
    for command in _of_unit(unit, "ExecStart") + _of_unit(unit, "ExecStartPre"):
        _is_taken(shlex.split(command.removeprefix("-"))[1:], tmp_path)


def test_command_lines_of_the_image_are_valid(tmp_path: Path) -> None:
    lines = (DEPLOY / "docker/Dockerfile").read_text().replace("\\\n", " ").splitlines()
    [command] = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    [health] = [json.loads(line.partition(" CMD ")[2]) for line in lines if line.startswith("HEALTHCHECK ")]
    _is_taken(command, tmp_path)
    _is_taken(health[1:], tmp_path)


def test_exit_codes_that_a_retry_cannot_fix_are_not_retried() -> None:
    cronjobs = [cronjob for _, objects in _everything() for cronjob in _of_kind(objects, "CronJob")]
    assert len(cronjobs) == 5
    for cronjob in cronjobs:
        rules = cronjob["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        assert set(rules[0]["onExitCodes"]["values"]) == HOPELESS
        assert rules[0]["action"] == "FailJob"
    assert len(UNITS) == 4
    for unit in UNITS:
        [prevented] = _of_unit(unit, "RestartPreventExitStatus")
        assert {int(code) for code in prevented.split()} >= HOPELESS
    for unit in ("profound-export-run.service", "profound-export-run@.service"):
        assert _of_unit(unit, "SuccessExitStatus") == [str(program.INCOMPLETE)]


@pytest.mark.parametrize("variable", ["PROFOUND_EXPORT_CONFIG", "PROFOUND_API_KEY_FILE"])
def test_variables_are_set_everywhere(variable: str) -> None:
    for origin, objects in _everything():
        for pod in _pods(objects):
            assert variable in [one["name"] for one in pod["containers"][0]["env"]], origin
    for unit in UNITS:
        assert any(value.startswith(f"{variable}=") for value in _of_unit(unit, "Environment"))
    assert f"{variable}=" in (DEPLOY / "docker/Dockerfile").read_text()


def test_templates_differ_from_plain_units_by_the_name_of_the_key_alone() -> None:
    for kind in ("profound-export", "profound-export-run"):
        plain, template = (
            [pair for pair in _unit(f"{kind}{at}.service") if pair[0] != "Description"] for at in ("", "@")
        )
        assert [(name, value.replace("/%i", "").replace("-%i", "")) for name, value in template] == plain


# What Kubernetes takes, and what a careful cluster demands.


@pytest.mark.parametrize("base", BASES)
def test_plain_manifests_are_valid(tmp_path: Path, base: str) -> None:
    _validated(tmp_path, _kustomized(base))


@pytest.mark.parametrize("values", VALUES)
def test_chart_renders_valid_manifests(tmp_path: Path, values: str) -> None:
    linted = _tool("helm", "lint", "--strict", "--values", CHART / f"ci/{values}.yaml", CHART)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    objects = _templated(values)
    _validated(tmp_path, [one for one in objects if one["kind"] not in OPERATOR])
    assert bool(_of_kind(objects, *OPERATOR)) == (values == "daemon")


def _validated(tmp_path: Path, objects: Objects) -> None:
    path = tmp_path / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    # The oldest version that the chart allows, and the newest whose schema is known.
    for version in ("1.31", "1.37"):
        command = [str(Path(sys.executable).with_name("kubernetes-validate")), "--strict", "-k", version, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "WARN" not in said, said
        assert said.count("passed for resource") == len(objects), said


def test_every_pod_fits_the_restricted_standard() -> None:
    for origin, objects in _everything():
        for pod in _pods(objects):
            [container] = pod["containers"]
            assert pod["securityContext"]["runAsNonRoot"], origin
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False
            # Long enough for what is half to be dropped, which takes 30 seconds at most.
            assert pod["terminationGracePeriodSeconds"] > 30


def test_network_policies_select_the_program_alone() -> None:
    policies = [(origin, one) for origin, objects in _everything() for one in _of_kind(objects, "NetworkPolicy")]
    assert len(policies) == 5
    for origin, one in policies:
        for rule in one["spec"].get("ingress", []):
            assert [source["namespaceSelector"]["matchLabels"] for source in rule["from"]], origin
        credentials = [rule for rule in one["spec"]["egress"] if rule["ports"][0]["port"] == 80]
        assert {"ipBlock": {"cidr": "169.254.170.0/24"}} in credentials[0]["to"], origin
        # An empty selector is every pod of the namespace.
        assert one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "profound-export", origin


def test_one_process_serves_one_key() -> None:
    for _, objects in _everything():
        for deployment in _of_kind(objects, "Deployment"):
            assert deployment["spec"]["replicas"] == 1
            assert deployment["spec"]["strategy"]["type"] == "Recreate"
        for cronjob in _of_kind(objects, "CronJob"):
            assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
            assert cronjob["spec"]["startingDeadlineSeconds"] > 0
            assert 0 < cronjob["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 86400


def test_overlay_of_another_key_shares_nothing_with_the_plain_one() -> None:
    plain, other = (
        {(one["kind"], one["metadata"]["name"]) for one in _kustomized(base)} for base in ("cronjob", "acme")
    )
    assert not plain & other
    for kind in ("secret", "configMap"):
        names = [
            {volume[kind].get("secretName") or volume[kind].get("name") for volume in pod["volumes"] if kind in volume}
            for base in ("cronjob", "acme")
            for pod in _pods(_kustomized(base))
        ]
        assert not names[0] & names[1]
    [policy] = _of_kind(_kustomized("acme"), "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "acme"


def test_chart_gives_every_account_its_own(tmp_path: Path) -> None:
    objects = _templated("many")
    assert [one["metadata"]["name"] for one in _of_kind(objects, "CronJob")] == ["nightly-acme", "nightly-other"]
    secrets = [
        volume["secret"]["secretName"] for pod in _pods(objects) for volume in pod["volumes"] if "secret" in volume
    ]
    assert sorted(set(secrets)) == ["acme-key", "other-keys"]
    accounts = {one["metadata"]["name"]: one["metadata"] for one in _of_kind(objects, "ServiceAccount")}
    assert accounts["nightly-acme"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/profound-acme"
    }
    acme, other = (one["data"]["jobs.toml"] for one in _of_kind(objects, "ConfigMap"))
    for config, url, concurrency in ((acme, "acme", 2), (other, "other", 2)):
        (tmp_path / "jobs.toml").write_text(config)
        output = program.run("config", cwd=tmp_path).expect(program.COMPLETE).stdout
        assert f"s3://my-bucket/profound/{url}" in output
        assert re.search(rf"concurrency\s*=?\s*{concurrency}\b", output), output
    # An account's own configuration is laid over the one of all.
    assert "weekly" in other
    assert "weekly" not in acme.replace("weekly_refresh_min_categories", "")
    assert "ca_file" in acme


def _account(name: str, url: str, secret: str) -> dict[str, Any]:
    return {"name": name, "destination": {"url": url}, "keySecret": {"name": secret}}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"accounts": []}, "accounts is empty"),
        (
            {"accounts": [_account("a", "s3://b/p", "one"), _account("b", "s3://b/p/", "two")]},
            "write to the same place",
        ),
        (
            {"accounts": [_account("a", "s3://b/p", "one"), _account("b", "s3://b/p/deeper", "two")]},
            "write to the same place",
        ),
        ({"accounts": [_account("a", "s3://b/p", "one"), _account("b", "s3://b/q", "one")]}, "share a key"),
        ({"accounts": [_account("a", "s3://b/p", "one"), _account("a", "s3://b/q", "two")]}, "two are called `a`"),
        ({"accounts": [_account("a", "s3://b", "one")]}, "does not match pattern"),
        ({"accounts": [_account("a", "./lake", "one")]}, "does not match pattern"),
        ({"accounts": [_account("a", "s3://b/p", "one") | {"key": "prf_secret"}]}, "additional properties 'key'"),
        ({"modes": "daemon"}, "additional properties 'modes'"),
        ({"mode": "sometimes"}, "mode"),
        ({"config": {"destination": {"url": "./lake"}}}, "destination"),
        ({"config": {"job": [{"name": "own", "cron": "0 1 * * *"}]}}, "has a cron of its own"),
        ({"serviceMonitor": {"enabled": True}}, "need mode: daemon"),
        ({"prometheusRule": {"enabled": True}}, "need mode: daemon"),
        ({"accounts": [_account("a" * 31, "s3://b/p", "one")]}, "maxLength"),
    ],
)
def test_chart_rejects_harmful_values(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    said = _refused(tmp_path, changes)
    assert says in said or (says == "maxLength" and "length" in said), said


def test_secret_among_the_values_is_rejected(tmp_path: Path) -> None:
    account = _account("a", "s3://b/p", "one")
    account["destination"]["options"] = {"secret_access_key": "s3cr3t"}
    assert "secret_access_key" in _refused(tmp_path, {"accounts": [account]})


def test_prefixes_that_begin_alike_are_not_the_same_place(tmp_path: Path) -> None:
    changes = {"accounts": [_account("a", "s3://b/p", "one"), _account("b", "s3://b/p2", "two")]}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(changes))
    done = _tool("helm", "template", "nightly", CHART, "--values", tmp_path / "values.yaml")
    assert done.returncode == 0, done.stderr


def test_operator_finds_the_service_and_gets_the_rules_that_are_tested() -> None:
    objects = _templated("daemon")
    [monitor] = _of_kind(objects, "ServiceMonitor")
    services = _of_kind(objects, "Service")
    assert len(services) == 2
    for service in services:
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]
    # Else Prometheus renames `job`, and no rule finds it.
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    [rules] = _of_kind(objects, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
    assert (CHART / "files/alerts.yaml").read_bytes() == (DEPLOY / "prometheus/alerts.yaml").read_bytes()


def test_version_of_the_chart_and_of_the_images_is_the_programs() -> None:
    [version] = re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version
    for _, objects in _everything():
        for pod in _pods(objects):
            image = pod["containers"][0]["image"]
            assert image.endswith(f":{version}") or "@sha256:" in image


# What is watched.


def _known_metrics() -> dict[str, str]:
    """The type of every metric, by name."""
    rows = re.findall(
        r"^\| `(profound_export_\w+)` \| (\w+) \|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    return dict(rows)


def _used(text: str) -> set[str]:
    return set(re.findall(r"\bprofound_export_[a-z0-9_]+", text))


@pytest.mark.parametrize(
    "path", ["prometheus/alerts.yaml", "prometheus/alerts.test.yaml", "grafana/profound-export.json"]
)
def test_rules_and_dashboard_use_only_metrics_that_exist(path: str) -> None:
    known = set(_known_metrics())
    for name, kind in _known_metrics().items():
        if kind == "histogram":
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    used = _used((DEPLOY / path).read_text())
    assert len(used) > 10
    assert used - known == set()


def test_dashboard_shows_every_metric() -> None:
    shown = {re.sub("_bucket$", "", name) for name in _used((DEPLOY / "grafana/profound-export.json").read_text())}
    assert set(_known_metrics()) - shown == set()


def test_every_alert_is_tested_and_leads_to_a_runbook_that_is_there() -> None:
    [group] = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts.test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in (ROOT / "docs/guides/runbooks.md").read_text().splitlines()
        if line.startswith("#")
    }
    for rule in group["rules"]:
        of_rule = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
        # It fires when it should, and not before.
        assert {True, False} <= set(of_rule), rule["alert"]
        page, _, heading = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/guides/runbooks.md"
        assert heading in headings, rule["annotations"]["runbook"]


def test_dashboard_is_whole() -> None:
    dashboard = json.loads((DEPLOY / "grafana/profound-export.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", []):
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables
            assert target["datasource"]["uid"] == "${datasource}"


def test_materials_of_the_image_are_those_of_the_lockfile() -> None:
    output = subprocess.run([DEPLOY / "docker/sbom.py"], capture_output=True, text=True, check=True).stdout
    bom = json.loads(output)
    lock = (ROOT / "Cargo.lock").read_text()
    components = {(one["name"], one["version"]): one for one in bom["components"]}
    assert len(components) == len(bom["components"]) > 100
    for (name, version), component in components.items():
        assert f'name = "{name}"\nversion = "{version}"' in lock
        assert component["licenses"]
        # Crates of the workspace are not from a registry, so the lockfile has no checksum of them.
        if name.startswith("profound-export-"):
            assert "hashes" not in component
            continue
        assert f'checksum = "{component["hashes"][0]["content"]}"' in lock
    assert {"tokio", "rustls", "parquet"} <= {name for name, _ in components}
    # Tools of the tests are no part of it.
    assert not [name for name, _ in components if name in ("insta", "proptest", "divan")]
    refs = {bom["metadata"]["component"]["bom-ref"]} | {one["bom-ref"] for one in bom["components"]}
    assert {one["ref"] for one in bom["dependencies"]} == refs
    assert {ref for one in bom["dependencies"] for ref in one["dependsOn"]} <= refs
