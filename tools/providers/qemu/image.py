"""What machines boot from: Debian with Strata in it, the kernel, a small first root.

    DIRECTORY/root.img      ext4 on a whole disk; each machine's own disk lies over it
    DIRECTORY/vmlinuz, initrd
    DIRECTORY/image.json    {"version": 1, "kernel": …, "bytes": of root.img}

An image is never changed: disks lie over it. Another one is made in another directory.
"""
import glob
import json
import os
import pkgutil
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass

import initrd
from failure import Failure, run

VERSION = 1
MIB = 1 << 20
PROGRAMS = ("imaged", "vnetd", "vclusterd", "vimage", "vcluster", "vnet", "vsave", "layerfs",
            "layerfs-objects", "strata-node", "vinit", "strata-pam-check")
# Beside the libraries that the programs name.
PACKAGES = ("apparmor", "bsdextrautils", "busybox-static", "dbus", "e2fsprogs", "erofs-utils",
            "fuse3", "iproute2", "kmod", "liblxc-common", "nftables", "openssh-client",
            "systemd-sysv", "udev", "uidmap")
UNITS = ("strata-order", "strata-imaged", "strata-vnetd", "strata-worker")
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "fstrim.timer", "lxc.service", "lxc-net.service", "getty@tty1.service",
          "serial-getty@ttyS0.service", "systemd-firstboot.service")
NOT_NEEDED = ("var/cache/apt", "var/lib/apt/lists", "var/log/apt", "usr/share/doc",
              "usr/share/info", "usr/share/locale", "usr/share/man")
# What nodes and their networks ask for: loaded at once, so that no order waits for it.
LOADED = ("bridge", "erofs", "loop", "nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "overlay",
          "qemu_fw_cfg", "veth", "vxlan")
BUILD_S = 3600
MKE2FS_S = 600


@dataclass(frozen=True)
class Image:
    directory: str
    bytes: int

    @property
    def root(self):
        return os.path.join(self.directory, "root.img")

    @property
    def kernel(self):
        return os.path.join(self.directory, "vmlinuz")

    @property
    def initrd(self):
        return os.path.join(self.directory, "initrd")

    @staticmethod
    def open(directory):
        path = os.path.join(directory, "image.json")
        try:
            with open(path, encoding="utf-8") as file:
                said = json.load(file)
            image = Image(directory, os.stat(os.path.join(directory, "root.img")).st_size)
        except (OSError, ValueError) as error:
            raise Failure(f"there is no image in {directory} ({error}): make one with "
                          "'strata-provider-qemu image build'") from None
        if not isinstance(said, dict) or said.get("version") != VERSION:
            raise Failure(f"{path} is of another version of this program: make the image anew")
        return image


def _libraries(program):
    found = re.findall(r"=> (/\S+) \(0x", run(["ldd", program], 60, accept=(0, 1)))
    return {os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
            for path in found}


def packages(bin_dir):
    """What has to be installed for the programs of `bin_dir`: as Debian packages have it here."""
    libraries = set()
    for name in PROGRAMS:
        path = os.path.join(bin_dir, name)
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is missing: build Strata first, or say where it is (--bin)")
        libraries |= _libraries(path)
    # Packages of before the merge of /lib and /usr/lib say the one or the other.
    libraries |= {path.removeprefix("/usr") for path in libraries}
    said = run(["dpkg-query", "-S", *sorted(libraries)], 120, accept=(0, 1))
    owners = {re.match(r"[^:,\s]+", line).group() for line in said.splitlines()}
    return sorted(owners | set(PACKAGES))


def _mirrors(suite):
    """Where this machine's apt gets Debian from, for mmdebstrap; and the newer kernels there."""
    said = run(["apt-get", "indextargets", "--format",
                "$(REPO_URI) $(ORIGIN) $(RELEASE) $(COMPONENT) $(CREATED_BY)"], 60)
    lines = set()
    for line in said.splitlines():
        words = line.split()
        if len(words) != 5 or words[1] != "Debian" or words[4] != "Packages":
            continue
        if words[2] in (suite, suite + "-updates", suite + "-security"):
            lines.add(f"deb {words[0]} {words[2]} {words[3]}")
        if words[2] == suite:
            lines.add(f"deb {words[0]} {suite}-backports main")
    if not lines:
        raise Failure(f"this machine's apt knows no {suite}: run 'apt-get update'")
    return sorted(lines)


def _say(text):
    print(f"strata-provider-qemu: {text}", file=sys.stderr)


def _make_root(arguments, root):
    if arguments.root:
        os.mkdir(root, 0o755)
        run(["tar", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f",
             arguments.root, "-C", root], BUILD_S)
        return
    wanted = packages(arguments.bin)
    if not arguments.kernel:
        wanted.append(f"linux-image-cloud-amd64/{arguments.suite}-backports")
    _say("installing Debian; this takes some minutes")
    run(["mmdebstrap", "--variant=minbase", "--format=directory", "--include=" + ",".join(wanted),
         arguments.suite, root, *_mirrors(arguments.suite)], BUILD_S)


def _take_kernel(arguments, root, out):
    """The kernel goes beside the root, its modules into it. Returns its version."""
    source = arguments.kernel or root
    found = sorted(glob.glob(os.path.join(source, "boot", "vmlinuz-*")))
    if len(found) != 1:
        raise Failure(f"{source}/boot must have one vmlinuz-VERSION; it has {len(found)}")
    version = os.path.basename(found[0]).removeprefix("vmlinuz-")
    shutil.copy(found[0], os.path.join(out, "vmlinuz"))
    modules = os.path.join(root, "usr/lib/modules", version)
    if arguments.kernel:
        shutil.copytree(os.path.join(source, "lib/modules", version), modules, symlinks=True)
        run(["chroot", root, "/sbin/depmod", version], 300)
    shutil.rmtree(os.path.join(root, "boot"))
    os.mkdir(os.path.join(root, "boot"), 0o755)
    initrd.write(os.path.join(out, "initrd"), modules, os.path.join(root, "bin/busybox"),
                 pkgutil.get_data("initrd", "guest/initrd-init"))
    return version


def _install(path, data, mode):
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)


def _install_strata(arguments, root):
    for name in PROGRAMS:
        source, target = os.path.join(arguments.bin, name), os.path.join(root, "usr/local/bin", name)
        if shutil.which("strip"):  # Nobody looks for their symbols there.
            run(["strip", "-o", target, source], 300)
        else:
            shutil.copy(source, target)
        os.chmod(target, 0o755)
    guest = os.path.join(root, "usr/local/lib/strata/strata-guest")
    _install(guest, pkgutil.get_data("initrd", "guest/strata-guest"), 0o755)
    system = os.path.join(root, "etc/systemd/system")
    for name in UNITS:
        unit = pkgutil.get_data("initrd", f"guest/{name}.service")
        _install(f"{system}/{name}.service", unit, 0o644)
        wanted = f"{system}/multi-user.target.wants/{name}.service"
        os.makedirs(os.path.dirname(wanted), mode=0o755, exist_ok=True)
        os.symlink(f"../{name}.service", wanted)
    for name in MASKED:
        if not os.path.lexists(f"{system}/{name}"):
            os.symlink("/dev/null", f"{system}/{name}")
    _install(os.path.join(root, "etc/modules-load.d/strata.conf"),
             "".join(name + "\n" for name in LOADED).encode(), 0o644)
    # Each machine gets its own at its first start.
    _install(os.path.join(root, "etc/machine-id"), b"", 0o444)
    for path in NOT_NEEDED:
        shutil.rmtree(os.path.join(root, path), ignore_errors=True)
    if arguments.copy:
        run(["cp", "-a", os.path.join(arguments.copy, "."), root], BUILD_S)


def _bytes_of(root):
    return int(run(["du", "-s", "--block-size=1", root], 600).split()[0])


def build(arguments):
    if os.geteuid() != 0:
        raise Failure("run as root: the files of a system are made")
    directory = os.path.abspath(arguments.directory)
    if os.path.lexists(directory):
        raise Failure(f"{directory} is there already, and disks may lie over it: name another one")
    packages(arguments.bin)  # Says now rather than in some minutes what is missing.
    parent = os.path.dirname(directory)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".strata-image.") as work:
        os.chmod(work, 0o700)
        root, out = os.path.join(work, "root"), os.path.join(work, "out")
        os.mkdir(out, 0o700)
        _make_root(arguments, root)
        os.umask(0o022)
        version = _take_kernel(arguments, root, out)
        _install_strata(arguments, root)
        size = (_bytes_of(root) * 5 // 4 + 128 * MIB) // MIB
        _say(f"writing a disk of {size} MiB with Linux {version}")
        run(["mke2fs", "-q", "-t", "ext4", "-m", "1", "-d", root, os.path.join(out, "root.img"),
             f"{size}M"], MKE2FS_S)
        os.chmod(os.path.join(out, "root.img"), 0o600)
        with open(os.path.join(out, "image.json"), "w", encoding="utf-8") as file:
            json.dump({"version": VERSION, "kernel": version, "bytes": size * MIB}, file)
        run(["sync", "-f", out], 600)
        os.rename(out, directory)
    _say(f"the image is in {directory}")


def add_arguments(parser):
    commands = parser.add_subparsers(dest="image_command", metavar="COMMAND", required=True)
    here = os.path.dirname(os.path.abspath(sys.argv[0]))
    make = commands.add_parser("build", help="make an image in a directory of its own")
    make.add_argument("directory", metavar="DIRECTORY", help="is made; must not be there")
    make.add_argument("--bin", metavar="DIR", default=here, help="Strata's programs (%(default)s)")
    make.add_argument("--suite", default="bookworm", help="of Debian (%(default)s)")
    make.add_argument("--root", metavar="TAR", help="an archive of a Debian with the packages that "
                      "`image packages` names; otherwise mmdebstrap installs one")
    make.add_argument("--kernel", metavar="DIR", help="has boot/vmlinuz-VERSION and lib/modules, "
                      "VERSION with its drivers; otherwise Debian's cloud kernel (backports)")
    make.add_argument("--copy", metavar="DIR", help="its files are put over the root: certificates "
                      "for etcd, say, or keys for ssh")
    what = commands.add_parser("packages", help="print what an image needs to have installed")
    what.add_argument("--bin", metavar="DIR", default=here, help="Strata's programs (%(default)s)")


def main(arguments):
    if arguments.image_command == "packages":
        print(",".join(packages(arguments.bin)))
    else:
        build(arguments)
