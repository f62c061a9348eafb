"""Starts a machine's processes: its disk, its link, QEMU."""
import fcntl
import os
import socket
import struct
import subprocess

import host
import processes
from failure import Failure, run, write_durably

DISK_S = 60
QEMU_S = 120
MONITOR_BYTES_MAX = 1 << 20
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCBRADDIF = 0x8913, 0x8914, 0x89A2
IFF_UP = 1


def link_name(machine_id):
    return "sq-" + machine_id.removeprefix("qemu-")[:12]


def mac_of(address):
    """Locally administered, and as unique as the address is."""
    return "52:56:" + ":".join(f"{byte:02x}" for byte in socket.inet_aton(address))


def open_tap(name, bridge):
    """A link of the bridge that is there for as long as somebody has this descriptor: nothing has
    to take it away."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
            fcntl.ioctl(any_socket, SIOCBRADDIF,
                        struct.pack("16si20x", bridge.encode(), socket.if_nametoindex(name)))
            request = struct.pack("16sH22x", name.encode(), 0)
            flags, = struct.unpack("16xH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
            fcntl.ioctl(any_socket, SIOCSIFFLAGS,
                        struct.pack("16sH22x", name.encode(), flags | IFF_UP))
    except OSError as error:
        os.close(fd)
        raise Failure(f"cannot put the link {name} on the bridge {bridge}: {error.strerror}; is "
                      f"there such a bridge (ip link add {bridge} type bridge)?") from None
    return fd


def order_text(settings, machine, order):
    """What the guest is told, a key and its value a line (guest/strata-guest)."""
    network = settings.network
    lines = [("host", order["host"]), ("masters", order["masters"]),
             ("address", machine["address"]), ("prefix", str(network.prefix)),
             ("mac", mac_of(machine["address"])), ("gateway", network.gateway)]
    lines += [("dns", address) for address in network.dns]
    lines += [("label", label) for label in order["labels"]]
    lines += [("imaged_flag", flag) for flag in settings.imaged_flags]
    lines += [("worker_flag", flag) for flag in settings.worker_flags]
    lines += [("pull", f"{name} {image}") for name, image in settings.pull]
    lines += [("token", order["token"])] if order.get("token") else []
    return "".join(f"{key}={value}\n" for key, value in lines)


def _escaped(path):
    return path.replace(",", ",,")  # In what QEMU splits at commas.


def qemu_argv(settings, image, machine, directory, accel, tap, monitor):
    """Its command line, which all users of this host can read: no secret is in it."""
    disk = _escaped(os.path.join(directory, "disk.qcow2"))
    serial = ["-serial", "none"]
    if settings.console:
        serial = ["-serial", "file:" + os.path.join(directory, "console.log")]
    # TCG without cmpxchg16b, after which QEMU 7.2 hands the kernel broken flags now and then.
    cpu = settings.cpu or {"kvm": "host", "tcg": "qemu64,-cx16"}[accel]
    accel_options = {"kvm": "kvm", "tcg": "tcg,thread=multi,tb-size=256"}[accel]
    console = "console=ttyS0 " if settings.console else ""
    return [
        settings.qemu, "-name", os.path.basename(directory), "-machine", "q35",
        "-accel", accel_options, "-cpu", cpu, "-smp", str(machine["cpus"]),
        "-m", f"{machine['memory_bytes'] // host.MIB}M",
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-kernel", image.kernel, "-initrd", image.initrd,
        "-append", f"{console}quiet panic=-1 net.ifnames=0" +
        (" no_timer_check" if accel == "tcg" else ""),
        "-drive", f"file={disk},format=qcow2,if=none,id=disk,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk",
        "-netdev", f"tap,id=link,fd={tap}",
        "-device", f"virtio-net-pci,netdev=link,mac={mac_of(machine['address'])}",
        "-device", "virtio-rng-pci",
        "-fw_cfg", "name=opt/org.strata/order,file=" + _escaped(os.path.join(directory, "order")),
        "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
        *serial]


def make_disk(settings, image, machine, directory, held):
    """What differs from the image; the machine's alone."""
    disk = os.path.join(directory, "disk.qcow2")
    os.close(os.open(disk, os.O_WRONLY | os.O_CREAT, 0o600))
    run([settings.qemu_img, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image.root, disk,
         str(machine["disk_bytes"])], DISK_S, keep_fds=[held])


def _await_running(monitor, process):
    """Commands are answered when all devices are there: then it has read its files."""
    said = b""
    try:
        monitor.settimeout(QEMU_S)
        monitor.sendall(b'{"execute": "qmp_capabilities"}\n{"execute": "query-status"}\n')
        while b'"status"' not in said and len(said) < MONITOR_BYTES_MAX:
            data = monitor.recv(4096)
            if not data:
                break
            said += data
    except TimeoutError:
        raise Failure(f"QEMU did not start within {QEMU_S} s") from None
    except OSError:
        pass  # It has ended; why is on its standard error.
    if b'"status": "running"' in said:
        return
    try:
        _, errors = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        raise Failure("QEMU does not say that it runs") from None
    lines = errors.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    raise Failure(f"QEMU ended with exit code {process.returncode}: {lines[-1][:400]}")


def boot(settings, image, machine, directory, held):
    """Returns when QEMU has all it needs and the guest runs."""
    accel = host.pick_accel(settings, image.kernel, held)
    if settings.console:
        path = os.path.join(directory, "console.log")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    tap = open_tap(link_name(os.path.basename(directory)), settings.network.bridge)
    ours, theirs = socket.socketpair()
    try:
        argv = qemu_argv(settings, image, machine, directory, accel, tap, theirs.fileno())
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            pass_fds=[held, tap, theirs.fileno()], start_new_session=True)
        theirs.close()
        _await_running(ours, process)
    except FileNotFoundError:
        raise Failure(f"{settings.qemu} is not installed") from None
    finally:
        os.close(tap)
        ours.close()
        theirs.close()


def forget_token(directory):
    """QEMU has read the order: on this host, the token is nowhere any more."""
    path = os.path.join(directory, "order")
    with open(path, encoding="utf-8") as file:
        kept = [line for line in file if not line.startswith("token=")]
    write_durably(path, "".join(kept))


def restart(settings, image, machine, directory):
    held = processes.hold(os.path.join(directory, "held"))
    try:
        boot(settings, image, machine, directory, held)
    finally:
        os.close(held)
