"""The first root of a machine, in memory: it mounts the disk. An archive in cpio's newc format."""
import lzma
import os
import re
import stat

from failure import Failure

# What is not built into the kernel of these is loaded. (ext4 asks for crc32c by its name.)
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")


def _name(path):
    return re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")


def _read_lines(modules, name):
    try:
        with open(os.path.join(modules, name), encoding="ascii") as file:
            return file.read().splitlines()
    except OSError as error:
        raise Failure(f"cannot read {modules}/{name}: {error.strerror}; run depmod") from None


def _in_order(modules):
    """The files to load, what others need first."""
    needs = {}
    for line in _read_lines(modules, "modules.dep"):
        path, others = line.split(":")
        # As paths below `modules`; BusyBox's depmod writes them from the top.
        paths = [re.sub(r"^/?lib/modules/[^/]*/", "", each) for each in [path, *others.split()]]
        needs[_name(path)] = [paths[0], *reversed(paths[1:])]
    built_in = {_name(path) for path in _read_lines(modules, "modules.builtin")}
    order = []
    for name in MODULES:
        if name in built_in or (name == "crc32c_generic" and name not in needs):
            continue
        if name not in needs:
            raise Failure(f"the kernel of {modules} has no {name}")
        for path in [*needs[name][1:], needs[name][0]]:
            if path not in order:
                order.append(path)
    return order


class _Archive:
    def __init__(self, file):
        self.file, self.count = file, 0

    def add(self, name, mode, data=b""):
        self.count += 1
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = "070701" + "".join(f"{field:08x}" for field in fields)
        self._write(head.encode() + name.encode() + b"\0")
        self._write(data)

    def _write(self, data):
        self.file.write(data + b"\0" * (-len(data) % 4))


def write(path, modules, busybox, init):
    """`modules`: …/lib/modules/VERSION; `busybox`: a static one; `init`: the script it runs."""
    with open(path, "wb") as file:
        archive = _Archive(file)
        for name in ("bin", "dev", "modules", "root"):
            archive.add(name, stat.S_IFDIR | 0o755)
        with open(busybox, "rb") as program:
            archive.add("bin/busybox", stat.S_IFREG | 0o755, program.read())
        archive.add("init", stat.S_IFREG | 0o755, init)
        order = []
        for module in _in_order(modules):
            with open(os.path.join(modules, module), "rb") as source:
                data = source.read()
            if module.endswith(".xz"):
                data = lzma.decompress(data)
            order.append(_name(module) + ".ko")
            archive.add("modules/" + order[-1], stat.S_IFREG | 0o644, data)
        listed = "".join(name + "\n" for name in order).encode()
        archive.add("modules/order", stat.S_IFREG | 0o644, listed)
        archive.add("TRAILER!!!", 0)
