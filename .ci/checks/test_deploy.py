"""What is shipped to start the program fits the program: its configuration, its arguments, its exit codes."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import program

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFEST = DEPLOY / "kubernetes/cronjob.yaml"


def _manifest(kind: str) -> Any:
    return next(one for one in yaml.safe_load_all(MANIFEST.read_text()) if one["kind"] == kind)


def _unit() -> list[tuple[str, str]]:
    lines = (DEPLOY / "systemd/profound-export.service").read_text().splitlines()
    return [
        (name, value) for name, _, value in (line.partition("=") for line in lines if "=" in line and line[0] != "#")
    ]


def _is_taken(arguments: list[str], tmp_path: Path) -> None:
    """The command line is understood: `--help` is not reached past a mistake before it."""
    program.run(*arguments, "--help", cwd=tmp_path).expect(program.COMPLETE)
    # Nothing is configured in an empty directory, so a command line that is right ends with that.
    assert program.run(*arguments, cwd=tmp_path, key=False).code != program.USAGE


def test_configuration_in_the_manifest_is_right(tmp_path: Path) -> None:
    config = _manifest("ConfigMap")["data"]["jobs.toml"]
    (tmp_path / "jobs.toml").write_text(config)
    program.run("config", cwd=tmp_path).expect(program.COMPLETE)
    # The two schedules are one.
    schedule = _manifest("CronJob")["spec"]
    assert f'cron = "{schedule["schedule"]}"' in config
    assert f'timezone = "{schedule["timeZone"]}"' in config


def test_command_lines_are_taken(tmp_path: Path) -> None:
    pod = _manifest("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    _is_taken(pod["containers"][0]["args"], tmp_path)
    [command] = [value for name, value in _unit() if name == "ExecStart"]
    _is_taken(shlex.split(command)[1:], tmp_path)


def test_exit_codes_that_trying_again_cannot_mend_end_it() -> None:
    hopeless = {program.USAGE, program.KEY_REJECTED, program.BAD_CONFIG}
    rules = _manifest("CronJob")["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert set(rules[0]["onExitCodes"]["values"]) == hopeless
    assert rules[0]["action"] == "FailJob"
    [prevented] = [value for name, value in _unit() if name == "RestartPreventExitStatus"]
    assert {int(code) for code in prevented.split()} >= hopeless
    [success] = [value for name, value in _unit() if name == "SuccessExitStatus"]
    assert int(success) == program.INCOMPLETE


@pytest.mark.parametrize("variable", ["PROFOUND_EXPORT_CONFIG", "PROFOUND_API_KEY_FILE"])
def test_variables_are_set_by_both(variable: str) -> None:
    pod = _manifest("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert variable in [one["name"] for one in pod["containers"][0]["env"]]
    assert any(name == "Environment" and value.startswith(f"{variable}=") for name, value in _unit())
