#!/usr/bin/env python3
"""The software bill of materials of the program, as CycloneDX 1.5: what is built in, and nothing else.

Needs Python and Cargo. The same sources give the same bytes.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _metadata(target: str) -> Any:
    command = ["cargo", "metadata", "--features", "full", "--format-version", "1", "--locked", "--offline"]
    command += ["--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _host() -> str:
    output = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.removeprefix("host: ") for line in output.splitlines() if line.startswith("host: "))


def _linked(target: str) -> set[tuple[str, str]]:
    """Name and version of each crate in the program. `cargo metadata` also lists crates that only tests enable."""
    command = ["cargo", "tree", "--package", "profound-export", "--features", "full"]
    command += ["--edges", "normal", "--prefix", "none", "--locked", "--offline", "--target", target, "--format", "{p}"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {(line.split()[0], line.split()[1].removeprefix("v")) for line in lines if line}


def _built_in(metadata: Any, linked: set[tuple[str, str]]) -> dict[str, list[str]]:
    """The packages that the program is made of, each with its own: none of tests or build scripts."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    names = {package["id"]: (package["name"], package["version"]) for package in metadata["packages"]}
    found: dict[str, list[str]] = {}
    waiting = [metadata["resolve"]["root"]]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        kinds = {dep["pkg"]: {kind["kind"] for kind in dep["dep_kinds"]} for dep in nodes[here]["deps"]}
        normal = [package for package, kind in kinds.items() if None in kind and names[package] in linked]
        found[here] = sorted(normal)
        waiting += normal
    return found


def main() -> None:
    """Print the bill of materials."""
    target = sys.argv[1] if len(sys.argv) > 1 else _host()
    metadata = _metadata(target)
    packages = {package["id"]: package for package in metadata["packages"]}
    lock = (ROOT / "Cargo.lock").read_bytes()
    checksums = {
        (package["name"], package["version"]): package.get("checksum")
        for package in tomllib.loads(lock.decode())["package"]
    }
    built_in = _built_in(metadata, _linked(target))
    root = metadata["resolve"]["root"]

    def purl(identity: str) -> str:
        return f"pkg:cargo/{packages[identity]['name']}@{packages[identity]['version']}"

    def component(identity: str) -> dict[str, Any]:
        package = packages[identity]
        fields = {
            "type": "application" if identity == root else "library",
            "bom-ref": purl(identity),
            "name": package["name"],
            "version": package["version"],
            "purl": purl(identity),
        }
        if package["license"]:
            fields["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if checksum := checksums.get((package["name"], package["version"])):
            fields["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return fields

    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(lock).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {"component": component(root)},
        "components": [component(identity) for identity in sorted(built_in, key=purl) if identity != root],
        "dependencies": [
            {"ref": purl(identity), "dependsOn": [purl(dep) for dep in built_in[identity]]}
            for identity in sorted(built_in, key=purl)
        ],
    }
    json.dump(bom, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
