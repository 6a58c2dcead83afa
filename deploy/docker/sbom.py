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
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _host() -> str:
    output = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.removeprefix("host: ") for line in output.splitlines() if line.startswith("host: "))


def _built_in(metadata: Any) -> dict[str, list[str]]:
    """The packages that the program is made of, each with its own: none of tests or build scripts."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found: dict[str, list[str]] = {}
    waiting = [metadata["resolve"]["root"]]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        normal = [dep["pkg"] for dep in nodes[here]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        found[here] = sorted(normal)
        waiting += normal
    return found


def main() -> None:
    """Print the bill of materials."""
    metadata = _metadata(sys.argv[1] if len(sys.argv) > 1 else _host())
    packages = {package["id"]: package for package in metadata["packages"]}
    lock = (ROOT / "Cargo.lock").read_bytes()
    checksums = {
        (package["name"], package["version"]): package.get("checksum")
        for package in tomllib.loads(lock.decode())["package"]
    }
    built_in = _built_in(metadata)
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
