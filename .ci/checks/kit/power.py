"""A disk that forgets what was not synced: what a run did to a directory, as strace saw it, up to any instant.

The model is stricter than any file system: a name is certain only after its directory was synced, bytes only after
their file was. Whatever else happened since may have reached the disk, or not, each on its own.
"""

import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from kit import program

_TRACED = (
    "openat,close,write,pwrite64,writev,ftruncate,fsync,fdatasync,dup,dup2,dup3,mkdir,mkdirat,rmdir,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat"
)
# Calls that could change a file behind the model's back. None may befall a file of the lake.
_UNKNOWN = (
    "fallocate,copy_file_range,sendfile,splice,sync,syncfs,sync_file_range,mmap,truncate,open,creat,pwritev,pwritev2"
)


def traced(trace: Path, *arguments: str | Path, cwd: Path, killed_at_sync: int | None = None) -> program.Finished:
    """Runs the program to its end, or to its sync of that number, and writes down what it asks of the system."""
    inject = [] if killed_at_sync is None else ["-e", f"inject=fsync:signal=KILL:when={killed_at_sync}"]
    # Every byte of every call, in hexadecimal: contents and names need no guessing.
    command = ["strace", "-f", "-xx", "-s", "100000000", "-o", str(trace), "-e", f"trace={_TRACED},{_UNKNOWN}", *inject]
    done = subprocess.run(
        [*command, str(program.binary()), *map(str, arguments)],
        cwd=cwd,
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=program.LONGEST_RUN_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    return program.Finished(done.returncode, done.stdout, done.stderr)


@dataclass(eq=False)
class File:
    """Bytes as a reader sees them, and as the disk has them for certain: none before the first sync."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes | None = None


@dataclass(eq=False)
class Directory:
    """Names as a reader sees them, and as the disk has them for certain."""

    now: dict[str, "File | Directory"] = field(default_factory=dict)
    synced: dict[str, "File | Directory"] = field(default_factory=dict)


Node = File | Directory


@dataclass(frozen=True)
class Open:
    """What a descriptor refers to."""

    node: Node
    path: Path


class Fate(Enum):
    """How unsynced changes are treated."""

    LOST = "lost"
    # Names reach the disk before the bytes of their files, as with delayed allocation.
    NAMES_ONLY = "names only"
    # Each name and each file for itself.
    CHANCE = "chance"


def of_directory(path: Path) -> Directory:
    """The content of `path`, all of it durable."""
    made = Directory()
    for entry in path.iterdir():
        node: Node = of_directory(entry) if entry.is_dir() else _settled(entry.read_bytes())
        made.now[entry.name] = node
    made.synced = dict(made.now)
    return made


def _settled(content: bytes) -> File:
    return File(bytearray(content), content)


class Disk:
    """A directory, and what processes did to it."""

    def __init__(self, root: Path, before: Directory | None = None) -> None:
        self.root = root.absolute()
        self.tree = before or Directory()

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self.tree
        for part in path.relative_to(self.root).parts:
            node = node.now.get(part) if isinstance(node, Directory) else None
        return node

    def _parent(self, path: Path) -> Directory:
        found = self._find(path.parent)
        assert isinstance(found, Directory), f"the trace names {path}, whose directory it never made"
        return found

    def replay(self, trace: Path) -> Iterator[str]:
        """Replays one process, and yields each step that changed or synced something."""
        descriptors: dict[int, Open] = {}
        for call in _calls(trace):
            if step := self._step(call, descriptors):
                yield step

    def _inside(self, path: Path) -> bool:
        return path != self.root and path.is_relative_to(self.root)

    def _step(self, call: "Call", descriptors: dict[int, Open]) -> str | None:
        # A path counts from the directory that is open under the number before it, if there is one.
        bases = [descriptors[base].path if base in descriptors else self.root for base, _ in call.paths]
        paths = [base / path for base, (_, path) in zip(bases, call.paths)]
        ours = [path for path in paths if self._inside(path)]
        match call.name:
            case "openat" if paths[0] == self.root or ours:
                node = self._find(paths[0])
                made = node is None
                if node is None:
                    node = self._parent(paths[0]).now[paths[0].name] = File()
                elif "O_TRUNC" in call.text and isinstance(node, File):
                    node.now.clear()
                descriptors[call.result] = Open(node, paths[0])
                return f"openat {paths[0].name}" if made else None
            case "openat":
                descriptors.pop(call.result, None)
                return None
            case "close":
                descriptors.pop(call.descriptor, None)
                return None
            case "write" if call.descriptor in descriptors:
                node = descriptors[call.descriptor].node
                assert isinstance(node, File)
                node.now += call.content[: call.result]
            case "fsync" | "fdatasync" if call.descriptor in descriptors:
                node = descriptors[call.descriptor].node
                if isinstance(node, File):
                    node.synced = bytes(node.now)
                else:
                    node.synced = dict(node.now)
            case "mkdir" | "mkdirat" if ours:
                self._parent(ours[0]).now[ours[0].name] = Directory()
            case "rename" | "renameat" | "renameat2" if ours:
                source, target = ours
                self._parent(target).now[target.name] = self._parent(source).now.pop(source.name)
            case "link" | "linkat" if ours:
                source, target = ours
                self._parent(target).now[target.name] = self._parent(source).now[source.name]
            case "unlink" | "unlinkat" | "rmdir" if ours:
                # Of two calls at once, the one on a directory above may be written down first.
                above = self._find(ours[0].parent)
                if isinstance(above, Directory):
                    del above.now[ours[0].name]
            case _:
                known = not ours and call.descriptor not in descriptors
                assert known, f"the model of the disk does not know {call.name}({call.text[:200]}"
                return None
        return f"{call.name} {ours[-1].name if ours else ''}"

    def adopt(self) -> None:
        """Compares with the real state: a killed process may have completed a call whose result it never received."""
        _adopt(self.tree, self.root)

    def after_power_cut(self, fate: Fate, chance: random.Random) -> dict[str, bytes]:
        """The files that lie on the disk when the power comes back, by their path from the root."""
        return dict(_after(self.tree, "", fate, chance))

    def now(self) -> dict[str, bytes]:
        """The files as a reader sees them while the power is on."""
        return dict(_now(self.tree, ""))


def _adopt(directory: Directory, path: Path) -> None:
    real = {entry.name: entry for entry in path.iterdir()}
    for name in directory.now.keys() - real.keys():
        del directory.now[name]
    for name, entry in real.items():
        node = directory.now.setdefault(name, Directory() if entry.is_dir() else File())
        if isinstance(node, Directory):
            _adopt(node, entry)
        else:
            node.now[:] = entry.read_bytes()


def _now(directory: Directory, path: str) -> Iterator[tuple[str, bytes]]:
    for name, node in directory.now.items():
        if isinstance(node, Directory):
            yield from _now(node, f"{path}{name}/")
        else:
            yield f"{path}{name}", bytes(node.now)


def _after(directory: Directory, path: str, fate: Fate, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for name in sorted(directory.now.keys() | directory.synced.keys()):
        now, synced = directory.now.get(name), directory.synced.get(name)
        arrived = {Fate.LOST: False, Fate.NAMES_ONLY: True, Fate.CHANCE: chance.random() < 0.5}[fate]
        node = now if arrived else synced
        if isinstance(node, Directory):
            yield from _after(node, f"{path}{name}/", fate, chance)
        elif node is not None:
            yield f"{path}{name}", _bytes(node, fate, chance)


def _bytes(file: File, fate: Fate, chance: random.Random) -> bytes:
    if file.synced is not None and file.synced == file.now:
        return file.synced
    if fate is Fate.CHANCE:
        # A part of it, and then what the disk held there before.
        kept = chance.randrange(len(file.now) + 1)
        return bytes(file.now[:kept]) + bytes(chance.randrange(len(file.now) - kept + 1))
    return file.synced or b""


@dataclass(frozen=True)
class Call:
    """One call of the system that succeeded."""

    name: str
    text: str
    result: int

    @property
    def descriptor(self) -> int:
        """The first argument, where it is a number."""
        found = re.match(r"(\d+)", self.text)
        return int(found[1]) if found else -1

    @property
    def paths(self) -> list[tuple[int, str]]:
        """The paths it names, each with the descriptor of the directory it counts from; none of a call that writes."""
        if self.name in ("write", "pwrite64", "writev"):
            return []
        found = re.findall(rf"(?:(\d+), )?{_TEXT}", self.text)
        return [(int(base) if base else -1, _decoded(path).decode()) for base, path in found]

    @property
    def content(self) -> bytes:
        """What it writes."""
        return b"".join(map(_decoded, re.findall(_TEXT, self.text)))


_TEXT = r'"((?:\\x[0-9a-f]{2})*)"'


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (\d+)(?:x\w+)?(?: .*)?$")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)(?:x\w+)?(?: .*)?$")


def _calls(trace: Path) -> Iterator[Call]:
    """The calls that succeeded, in the order in which they ended: until then no caller relies on them."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        if whole := _WHOLE.match(line):
            yield Call(whole[2], whole[3], int(whole[4]))
        elif start := _BEGUN.match(line):
            begun[start[1]] = start[3]
            if start[2] == "close":
                # From here on another thread may be given the number.
                yield Call(start[2], start[3], 0)
        elif end := _ENDED.match(line):
            text = begun.pop(end[1])
            if end[4].isdigit() and end[2] != "close":
                yield Call(end[2], text + end[3], int(end[4]))
