"""What the benchmarks of root file systems share: an ext4 of their own, and roots of one image by
each backend on it.

Backends: "overlay" is kernel overlayfs over plain directories, "fuse-overlayfs" the same by that
program; "kernel" and "fuse" are the drivers of layerfs. All of them need root.
"""
import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

# About 27,000 entries, from what a Debian build machine has.
SOURCES = ["/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/gcc",
           "/usr/share/doc", "/usr/share/perl", "/usr/share/zoneinfo", "/usr/share/cmake-3.25"]
SERVER_END_SECONDS_MAX = 30


class CommandFailed(SystemExit):
    """Ends the program with its message when nobody catches it."""


def run(*argv, **options):
    """What the program wrote; the options are those of subprocess.run."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    try:
        done = subprocess.run(argv, check=True, **options)
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{' '.join(argv)}: not done after {late.timeout} s") from late
    except subprocess.CalledProcessError as failed:
        output = (failed.stderr or failed.stdout or "").strip()
        raise CommandFailed(
            f"{' '.join(argv)}: exit code {failed.returncode}: {output}") from failed
    return done.stdout


def seconds(*argv, **options):
    start = time.perf_counter()
    run(*argv, **options)
    return time.perf_counter() - start


def disk_bytes(path):
    return int(run("du", "-s", "--block-size=1", "-x", path).split()[0])


def mount_memory_ext4(mountpoint, size_gib=6):
    """Mounts a new ext4 on a sparse file in memory; the loop device frees itself. The file."""
    handle, image = tempfile.mkstemp(prefix="layerfs-bench.", dir="/dev/shm")
    os.truncate(handle, size_gib << 30)
    os.close(handle)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop", image, mountpoint)
    return image


@contextlib.contextmanager
def scratch(directory, size_gib=6):
    """A directory on an ext4 in memory, or in `directory` when one is given; gone afterwards."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    base = tempfile.mkdtemp(prefix="layerfs-bench.", dir=directory)
    os.chmod(base, 0o755)
    image = None
    try:
        if not directory:
            image = mount_memory_ext4(base, size_gib)
        yield base
    finally:
        if image:
            run("umount", base)
            os.unlink(image)
        run("rm", "-rf", "--one-file-system", base)


def turns(rows, backends, rounds):
    """(row, backend) of every round; who is first changes from round to round."""
    for round_number in range(rounds):
        first = round_number % len(backends)
        for row in rows:
            for backend in backends[first:] + backends[:first]:
                yield row, backend


def wait_for_servers(volume):
    """A FUSE server may still be ending, and write, when its mount is gone already."""
    ending = select.poll()
    waiting = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                if f"{volume}/".encode() not in cmdline.read():
                    continue
            handle = os.pidfd_open(int(pid))
            waiting[handle] = pid
            ending.register(handle, select.POLLIN)
    deadline = time.monotonic() + SERVER_END_SECONDS_MAX
    while waiting:
        ended = ending.poll(max(0, deadline - time.monotonic()) * 1e3)
        if not ended:
            raise CommandFailed(f"a server of {volume} does not end: {list(waiting.values())}")
        for handle, _ in ended:
            ending.unregister(handle)
            os.close(handle)
            del waiting[handle]


class Roots:
    """Roots in directories of `base`, of the `image` there, which the caller makes of `source`."""

    def __init__(self, build, base):
        self.base = base
        self.tool = os.path.join(build, "bin", "layerfs_bench")
        self.layerfs = os.path.join(build, "bin", "layerfs")
        self.source = f"{base}/source"
        self.image = f"{base}/image"
        self.mounted = []
        self.serial = 0

    def new_volume(self):
        self.serial += 1
        return f"{self.base}/v{self.serial}"

    def mount(self, backend):
        """A fresh volume and a fresh mount; the mount point."""
        return self.attach(backend, self.new_volume())

    def attach(self, backend, volume):
        """Mounts a volume, new or used before by the same backend."""
        mountpoint = f"{volume}/mnt"
        os.makedirs(mountpoint, exist_ok=True)
        self.mounted.append(mountpoint)
        if backend in ("kernel", "fuse"):
            run(self.layerfs, "mount", "--tree", f"{self.image}/tree", "--objects",
                f"{self.image}/objects", "--volume", volume, "--driver", backend, mountpoint)
        else:
            os.makedirs(f"{volume}/upper", exist_ok=True)
            os.makedirs(f"{volume}/work", exist_ok=True)
            layers = f"lowerdir={self.source},upperdir={volume}/upper,workdir={volume}/work"
            if backend == "overlay":
                run("mount", "-t", "overlay", "bench", "-o", layers, mountpoint)
            else:
                run("fuse-overlayfs", "-o", layers, mountpoint)
        return mountpoint

    def detach(self, mountpoint):
        run("umount", mountpoint)
        self.mounted.remove(mountpoint)
        wait_for_servers(os.path.dirname(mountpoint))

    def unmount(self, mountpoint):
        """Removes the volume too."""
        self.detach(mountpoint)
        run("rm", "-rf", "--one-file-system", os.path.dirname(mountpoint))

    def close(self):
        for mountpoint in filter(os.path.ismount, list(self.mounted)):
            self.unmount(mountpoint)
