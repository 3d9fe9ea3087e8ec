"""The images of the Dockerfile, built and run with buildah on a base made by debootstrap.

No registry of images is needed: the base gets the name that the Dockerfile expects.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from compositions import ROOT

DEBIAN, SUITE = "http://deb.debian.org/debian", "bookworm"  # has Python 3.11
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
USELESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man",
           "usr/share/locale")  # fmt: skip
"""Folders of a Debian that slim images leave out."""

USER_ID = 10001
START_SECONDS, STOP_SECONDS = 400, 60


def skip_without_tools():
    """Skip the test where the tools are missing and cannot be installed."""
    if os.getuid() != 0:
        pytest.skip("needs root, to build images")
    missing = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    if missing and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-qq", *missing], check=False)
    if not all(map(shutil.which, ("buildah", "debootstrap"))):
        pytest.skip("needs buildah and debootstrap: apt-get install buildah debootstrap")
    try:
        urllib.request.urlopen(f"{DEBIAN}/dists/{SUITE}/InRelease", timeout=20).close()
    except OSError as error:
        pytest.skip(f"{DEBIAN} cannot be reached: {error}")


class Engine:
    """buildah, with images in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.options = ["--root", folder / "images", "--runroot", folder / "run"]

    def command(self, name, *arguments):
        return ["buildah", *self.options, name, *arguments]

    def __call__(self, name, *arguments):
        done = subprocess.run(self.command(name, *arguments), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def make_base(self, name):
        """Make a Debian with Python an image of this name."""
        root = self.folder / "debian"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, DEBIAN]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        for useless in USELESS:
            shutil.rmtree(root / useless)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        # The certificates of this machine, which may reach the package index through a proxy.
        shutil.copy(Path("/") / CERTIFICATES, root / CERTIFICATES)
        container = self("from", "scratch")
        self("add", "--quiet", container, root, "/")
        self("config", "--env", "UV_SYSTEM_CERTS=1", container)
        self("commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)

    def build(self, target):
        """Build a target of the Dockerfile as an image of the same name."""
        self("bud", "--isolation", "chroot", "--pull-never", "--format", "docker",
             "--target", target, "--tag", target, "--file", ROOT / "Dockerfile", ROOT)  # fmt: skip

    def megabytes(self, image):
        """The size of an image."""
        ((_, number, unit),) = [
            (found["names"][0], *found["size"].split())
            for found in json.loads(self("images", "--json", image))
        ]
        assert unit in ("MB", "GB"), unit
        return float(number) * (1000 if unit == "GB" else 1)

    def config(self, image):
        """The configuration of an image in Docker's format."""
        return json.loads(self("inspect", "--type", "image", image))["Docker"]["config"]

    @contextmanager
    def running(self, image, port, volume, command=None):
        """Run an image with a folder of this machine as its volume; yield a `Container`.

        Args:
            image: name of a target.
            port: takes the place of the image's port, since all share the network of this machine.
            volume: the folder here, and where it is in the container.
            command: instead of that of the image, if it is given.
        """
        config = self.config(image)
        (exposed,) = (name.partition("/")[0] for name in config["ExposedPorts"])
        words = [*(config["Entrypoint"] or ()), *(command or config["Cmd"])]
        health = config["Healthcheck"]["Test"]
        assert health[0] == "CMD"
        here, there = volume
        shutil.chown(here, USER_ID)
        container = self("from", "--pull-never", image)
        try:
            yield Container(
                self, container, f"{here}:{there}",
                [word.replace(exposed, str(port)) for word in words],
                [word.replace(exposed, str(port)) for word in health[1:]],
            )  # fmt: skip
        finally:
            self("rm", container)

    def remove(self):
        """Unmount and delete everything."""
        self("rm", "--all")
        self("rmi", "--all", "--force")
        mounts = re.findall(rf" ({self.folder}\S*) ", Path("/proc/mounts").read_text())
        for mounted in reversed(mounts):
            subprocess.run(["umount", "--lazy", mounted], check=True)
        shutil.rmtree(self.folder)


class Container:
    """A container whose command can be started and stopped again and again."""

    def __init__(self, engine, name, volume, command, health):
        self.engine, self.name, self.volume = engine, name, volume
        self.command, self.health = command, health

    def _run(self, words):
        return self.engine.command(
            "run", "--isolation", "chroot", "--volume", self.volume, self.name, "--", *words,
        )  # fmt: skip

    def is_healthy(self):
        """Whether the image's health check succeeds."""
        return subprocess.run(self._run(self.health), capture_output=True).returncode == 0

    @contextmanager
    def started(self, log):
        """Run the command until the block ends, from when it is healthy; yield its process."""
        with log.open("w") as output:
            outer = subprocess.Popen(self._run(self.command), stdout=output, stderr=output)
        try:
            end = time.monotonic() + START_SECONDS
            while not self.is_healthy():
                assert outer.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(1)
            (first, *_) = [
                process for process in psutil.Process(outer.pid).children(recursive=True)
                if not process.cmdline()[0].startswith("buildah")
            ]  # fmt: skip
            yield first
            first.send_signal(signal.SIGTERM)
            status = outer.wait(STOP_SECONDS)
            # After its shutdown uvicorn ends by the signal that stopped it.
            # Versions of buildah say it in different words.
            ended = ("exited on terminated", f"exited with status {128 + signal.SIGTERM}")
            assert status == 0 or any(words in log.read_text() for words in ended), log.read_text()
        finally:
            if outer.poll() is None:
                for process in psutil.Process(outer.pid).children(recursive=True):
                    process.kill()
                outer.wait(STOP_SECONDS)


@contextmanager
def engine():
    """Yield buildah with an empty folder for images, which is deleted afterwards."""
    skip_without_tools()
    # Not below the folders of pytest, which keeps the last three.
    folder = Path(tempfile.mkdtemp(prefix="containers"))
    built = Engine(folder)
    try:
        yield built
    finally:
        built.remove()
