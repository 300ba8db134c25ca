"""Proves the ways in on a bare Debian, without Docker: run as root, with mmdebstrap installed.

    python3.12 tools/bare_root.py dockerfile           # the Dockerfile's own steps, then its CMD until it is healthy
    python3.12 tools/bare_root.py readme trixie        # README's two commands, on Debian 13

The Dockerfile is read and its instructions are carried out, so the two cannot drift apart: an instruction that this
does not know is refused by name. What stands in for the image python:3.12-slim is a minimal Debian with this Python
3.12 in /usr/local, so it has to be one in a folder of its own, as uv and pyenv install them; the mirror, certificates
and proxy are this machine's too. Once a week the forge runs it, on Ubuntu. Standard library only.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITES = {"bookworm": "libssl3 libffi8 libreadline8", "trixie": "libssl3t64 libffi8 libreadline8t64"}
SLIM = "ca-certificates netbase tzdata zlib1g libbz2-1.0 liblzma5 libsqlite3-0"  # what Python wants of a Debian
PASSED = ("SSL_CERT_FILE", "PIP_CERT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "OMP_NUM_THREADS")
OF_THE_MACHINE = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
# Mounts and processes of a step end with it, so that nothing is mounted when the folder is deleted.
INSIDE = """
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmp "$1/dev/shm" && ip link set lo up
root=$1 user=$2; shift 2
exec chroot --userspec="$user" "$root" "$@"
"""


@dataclass
class Machine:
    """A root folder, and what a Dockerfile sets for its steps."""

    root: Path
    user: str = "root"
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"})

    def start(self, command: str, user: str) -> subprocess.Popen:
        """Starts a shell command there, in the folder that was set."""
        home = "/root" if user == "root" else f"/home/{user}"
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        clean = {"HOME": home, "LANG": "C.UTF-8", **passed, **self.env}
        script = f"cd {shlex.quote(self.workdir)}; {command}"
        new = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", INSIDE, "sh"]
        return subprocess.Popen([*new, str(self.root), f"{user}:", "/bin/sh", "-ec", script], env=clean)

    def run(self, command: str, user: str = "") -> None:
        """As the user that was set, or another. Raises SystemExit where it fails; ended early, it leaves nothing."""
        process = self.start(command, user or self.user)
        try:
            status = process.wait()
        finally:
            process.kill()
        if status:
            raise SystemExit(f"bare_root: this step failed: {command}")

    def copy(self, sources: list[str], target: str, owner: str | None) -> None:
        """COPY: files of the checkout that git does not ignore, without those of .dockerignore"""
        into = self.root / target.strip("/")
        folder = target.endswith("/") or len(sources) > 1
        for source, name in itertools.product(sources, context()):
            inside = below(name, source, folder)
            if inside is not None:
                place(ROOT / name, into / inside)
        if owner:
            self.run(f"chown -R {shlex.quote(owner)} {shlex.quote(target)}", "root")


def below(name: str, source: str, folder: bool) -> str | None:
    """Where in COPY's target a file goes; None where it is no part of the source. folder: whether the target is one."""
    if source == ".":
        return name
    if name == source:
        return Path(name).name if folder else ""
    return name.removeprefix(f"{source}/") if name.startswith(f"{source}/") else None


def place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def context() -> list[str]:
    """The files that a build sees."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    left_out = [line for line in (ROOT / ".dockerignore").read_text().split() if not line.startswith("#")]
    parts = lambda name: [name, *map(str, Path(name).parents)]
    ignored = lambda name: any(fnmatch(part, pattern) for part in parts(name) for pattern in left_out)
    return [name for name in files if not ignored(name) and (ROOT / name).is_file()]


# --- the Dockerfile --------------------------------------------------------------------------------


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, the rest of its line) in order, comments left out and continued lines joined"""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in joined]


def build(machine: Machine, steps: list[tuple[str, str]]) -> dict[str, str]:
    """Carries the steps out. -> those that say how to start it: CMD and HEALTHCHECK."""
    at_the_end = {}
    for word, rest in steps:
        if word in ("ARG", "FROM", "EXPOSE"):
            continue  # base() has read them; a port is no step
        if word in ("RUN", "COPY"):
            say(f"{word} {rest}")
        if word == "RUN":
            machine.run(rest)
        elif word == "USER":
            machine.user = rest
        elif word == "WORKDIR":
            machine.workdir = rest
        elif word == "ENV":
            machine.env |= dict(part.split("=", 1) for part in shlex.split(rest))
        elif word == "COPY":
            flags = [part for part in shlex.split(rest) if part.startswith("--")]
            *sources, target = (part for part in shlex.split(rest) if part not in flags)
            owner = next((flag.partition("=")[2] for flag in flags if flag.startswith("--chown=")), None)
            machine.copy(sources, target, owner)
        elif word in ("CMD", "HEALTHCHECK"):
            at_the_end[word] = rest
        else:
            raise SystemExit(f"bare_root: the Dockerfile has an instruction that this does not know: {word} {rest}")
    return at_the_end


def base(steps: list[tuple[str, str]]) -> str:
    """The Debian behind the image that FROM names. Raises SystemExit for an image that nothing here stands in for."""
    given = dict(rest.split("=", 1) for word, rest in steps if word == "ARG")
    image = next(rest for word, rest in steps if word == "FROM")
    image = re.sub(r"\$\{(\w+)\}", lambda name: given[name[1]], image)
    found = re.fullmatch(r"python:3\.12-slim-(\w+)", image.partition("@")[0])
    if not found or found[1] not in SUITES:
        raise SystemExit(f"bare_root: nothing here stands in for the image {image}.")
    return found[1]


def until_healthy(machine: Machine, ending: dict[str, str]) -> None:
    """Starts CMD and asks HEALTHCHECK's command until it says yes; a stranger without the token is turned away."""
    check = ending["HEALTHCHECK"].partition("CMD ")[2]
    stranger = check.replace("/api'", "/api/contents'")
    command = shlex.join(json.loads(ending["CMD"]))
    # One process of the host holds both: a container is one, and the check runs inside it.
    wait = f"for i in $(seq 60); do sleep 1; {check} 2>/dev/null && break; [ $i -lt 60 ]; done"
    refused = f"! {stranger} 2>/tmp/refused && grep -q 'HTTP Error 403' /tmp/refused"
    say(f"{command}, until it is healthy")
    machine.run(f"{command} & {wait}; {refused}; echo healthy, and closed to strangers; kill $!")


# --- a Debian --------------------------------------------------------------------------------------


def debian(root: Path, suite: str, more: str = "") -> Machine:
    """A minimal Debian with Python 3.12, as python:3.12-slim is."""
    say(f"a bare Debian, {suite}")
    packages = ",".join(f"{SLIM} {SUITES[suite]} {more}".split())
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", suite, str(root), source(suite)],
        check=True,
    )
    shutil.copytree(sys.base_prefix, root / "usr/local", symlinks=True, dirs_exist_ok=True)
    for file in OF_THE_MACHINE:
        if Path(file).exists():
            shutil.copy(file, root / file[1:])
    machine = Machine(root)
    machine.run("ldconfig && python3.12 -c 'import ssl, sqlite3, ctypes, lzma, readline'")
    return machine


def source(suite: str, lists: Path = Path("/etc/apt/sources.list.d/debian.sources")) -> str:
    """The line for apt, with this machine's own mirror, and Debian's where this is another Linux."""
    found = re.search(r"^URIs: (\S+)", lists.read_text(), re.MULTILINE) if lists.exists() else None
    mirror = found[1] if found else "http://deb.debian.org/debian"  # what comes is signed
    return f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main"


def two_commands(text: str) -> list[str]:
    """README's first block of commands, comments left out"""
    block = re.search(r"^## Two commands\n.*?```\w*\n(.*?)```", text, re.DOTALL | re.MULTILINE)[1]
    return [line.partition("#")[0].strip() for line in block.splitlines() if line.strip()]


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def from_dockerfile(root: Path) -> None:
    steps = instructions((ROOT / "Dockerfile").read_text())
    machine = debian(root, base(steps))
    until_healthy(machine, build(machine, steps))


def from_readme(root: Path, suite: str) -> None:
    """The checkout's last commit, cloned, and the two commands; the one that opens JupyterLab until it answers."""
    machine = debian(root, suite, "git make libatomic1")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(root / "course")], check=True)
    machine.workdir = "/course"
    for command in two_commands((ROOT / "README.md").read_text()):
        if command == "make lab":
            until_healthy(machine, {"CMD": '["make", "lab"]', "HEALTHCHECK": ask_lab()})
        else:
            say(command)
            machine.run(command)


def ask_lab() -> str:
    return next(rest for word, rest in instructions((ROOT / "Dockerfile").read_text()) if word == "HEALTHCHECK")


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["dockerfile", "readme"])
    parser.add_argument("suite", nargs="?", choices=list(SUITES), default="bookworm", help="of Debian, for readme")
    options = parser.parse_args(arguments)
    if os.getuid() != 0 or not shutil.which("mmdebstrap"):
        raise SystemExit("bare_root: run this as root, with mmdebstrap installed.")
    if sys.base_prefix == "/usr":
        raise SystemExit("bare_root: this Python is the system's. Run this with one of uv's: uv python find 3.12")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the root would be left behind
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bare-root-") as folder:
        root = Path(folder, "root")
        from_dockerfile(root) if options.what == "dockerfile" else from_readme(root, options.suite)
        size = subprocess.run(["du", "-smx", str(root)], capture_output=True, text=True).stdout.split()[0]
    say(f"done in {time.monotonic() - start:.0f} s; the root took {size} MB")


if __name__ == "__main__":
    main()
