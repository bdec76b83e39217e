"""Puts Debian's headless Chromium into a directory: python3 chromium.py DIRECTORY; DIRECTORY/run starts it.

Browsers that npm pins by content do not run everywhere (@sparticuz/chromium 131 and 153 tell their version in a plain
Debian container, and hang at the first page), so this one comes from the machine's own Debian: apt reads the sources
that the machine has, into lists of its own, checks Debian's signatures, and fetches the package, a font and those
libraries that the machine lacks. They are unpacked and not installed: no root is needed, and nothing outside DIRECTORY
changes. Interrupted at any point, DIRECTORY is complete or not there.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BROWSER = "chromium-headless-shell"
# Without any font a page has no text; a machine that has this one leaves it out.
WANTED = [BROWSER, "fonts-dejavu-core"]
ELSEWHERE = "set TIERGATE_CHROMIUM to a Chromium or Chrome program, 120 or newer"

# Debian's own start script reads settings of the machine, and this one none: pages look the same everywhere.
RUN = """#!/bin/sh
# Written by e2e/tools/chromium.py.
here=$(cd "$(dirname "$0")" && pwd)
FONTCONFIG_FILE=$here/fonts.conf LD_LIBRARY_PATH=%s
export FONTCONFIG_FILE LD_LIBRARY_PATH
exec "%s" "$@"
"""

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="relative">root/usr/share/fonts</dir>
  <match><edit name="family" mode="append" binding="weak"><string>DejaVu Sans</string></edit></match>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""

# Read after the machine's own settings, some of which run programs after every update.
APT = """
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::State "{work}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{work}/cache";
Debug::NoLocking "true";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
"""


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python3 chromium.py DIRECTORY")
    target = pathlib.Path(sys.argv[1]).resolve()
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            fail(f"this machine has no {program}, so it is no Debian; {ELSEWHERE}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(prefix="chromium-", dir=target.parent) as name:
        work = pathlib.Path(name)
        fetch(work)
        made = unpack(work)
        version = check(made)
        if target.exists():
            os.replace(target, work / "replaced")
        os.replace(made, target)
    print(f"browser: {version} is in {target}")


def fetch(work):
    """Fetches the packages into work/cache/archives, whatever the machine has as lists or caches."""
    settings = work / "apt.conf"
    settings.write_text(APT.format(work=work))
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    for what, command in (("read the lists of packages", ["update", "--error-on=any"]),
                          (f"fetch {' and '.join(WANTED)}",
                           ["install", "--download-only", "--reinstall", "--yes", "--no-install-recommends", *WANTED])):
        if subprocess.run(["apt-get", "-q", "-q", "-c", str(settings), *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          check=False).returncode != 0:
            fail(f"apt could not {what}; its own message is above. This needs Debian 12 or newer and the mirror that "
                 f"its sources name; elsewhere {ELSEWHERE}")


def unpack(work):
    """Unpacks the packages into work/made/root, and writes what starts the browser."""
    made = work / "made"
    made.mkdir()
    for package in sorted((work / "cache" / "archives").glob("*.deb")):
        if subprocess.run(["dpkg-deb", "--extract", str(package), str(made / "root")], check=False).returncode != 0:
            fail(f"dpkg-deb could not unpack {package.name}; its own message is above")
    programs = [p for p in made.glob(f"root/usr/lib/chromium*/{BROWSER}") if os.access(p, os.X_OK)]
    if len(programs) != 1:
        fail(f"Debian's package {BROWSER} holds {len(programs)} programs of that name, not one; {ELSEWHERE}")
    libraries = {p.parent.relative_to(made) for p in (made / "root").glob("**/lib/*-linux-*/**/*.so*")}
    (made / "fonts.conf").write_text(FONTS)
    run = made / "run"
    run.write_text(RUN % (":".join(sorted(f"$here/{d}" for d in libraries)), f"$here/{programs[0].relative_to(made)}"))
    run.chmod(0o755)
    return made


def check(made):
    """Has the browser draw an empty page, and says its version."""
    blank = ["--no-sandbox", "--disable-gpu", "--dump-dom", "data:text/html,<title>drawn</title>"]
    environment = {**os.environ, "HOME": str(made.parent), "XDG_CACHE_HOME": str(made.parent / "cache")}
    try:
        said = subprocess.run([str(made / "run"), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=environment, timeout=60, check=True).stdout.strip()
        drawn = subprocess.run([str(made / "run"), *blank], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               env=environment, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        fail(f"Debian's {BROWSER} does not run on this machine ({error}); {ELSEWHERE}")
    if "drawn" not in drawn:
        fail(f"Debian's {BROWSER} drew no page on this machine; {ELSEWHERE}")
    return said


def fail(sentence):
    sys.exit(f"make browser: {sentence}")


if __name__ == "__main__":
    main()
