"""What this host can give, and whether its KVM can run guests."""
import fcntl
import json
import os
import subprocess

from failure import Failure, write_durably

MIB = 1 << 20
KVM_PROBE_S = 20


def vm_memory_bytes(offered_bytes):
    """What the machine gets, so that its kernel leaves a worker what was offered."""
    return (offered_bytes + offered_bytes // 40 + 128 * MIB + MIB - 1) // MIB * MIB


def vm_disk_bytes(offered_bytes, image_bytes):
    """The same for its disk: the file system's own tables, and what is in the image."""
    return (offered_bytes + offered_bytes // 25 + image_bytes + 64 * MIB + MIB - 1) // MIB * MIB


def _memory_of_host():
    amounts = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            key, value = line.split(":")
            amounts[key] = int(value.split()[0]) * 1024
    return amounts["MemTotal"], amounts["MemAvailable"]


class Room:
    """What is left for one more machine beside those that there are."""

    def __init__(self, settings, machines, disk_path_of):
        limits = settings.limits
        total, available = _memory_of_host()
        disk = os.statvfs(settings.state_dir)
        free = disk.f_bavail * disk.f_frsize
        promised = 0  # What disks may still grow by.
        for machine_id, machine in machines.items():
            try:
                taken = os.stat(disk_path_of(machine_id)).st_blocks * 512
            except FileNotFoundError:
                taken = 0
            promised += max(0, machine["disk_bytes"] - taken)
        used = {key: sum(machine[key] for machine in machines.values())
                for key in ("cpus", "memory_bytes", "disk_bytes")}
        self.machines = limits.get("machines", len(settings.network.addresses)) - len(machines)
        # More than the host has, all machines together, if the file says so; not one machine alone.
        self.cpus = min(limits.get("cpus", os.cpu_count()) - used["cpus"], os.cpu_count())
        self.memory_bytes = min(limits.get("memory_bytes", total // 4 * 3) - used["memory_bytes"],
                                available)
        self.disk_bytes = free - promised
        if "disk_bytes" in limits:
            self.disk_bytes = min(self.disk_bytes, limits["disk_bytes"] - used["disk_bytes"])

    def lacks(self, offer, image_bytes):
        """What it is that there is too little of; empty when the offer can be had."""
        if self.machines < 1:
            return "machines (limits.machines)"
        if offer.cpus > self.cpus:
            return f"CPUs: {offer.cpus} asked for, {max(self.cpus, 0)} left"
        memory = vm_memory_bytes(offer.memory_bytes)
        if memory > self.memory_bytes:
            return f"memory: {memory} bytes needed, {max(self.memory_bytes, 0)} left"
        disk = vm_disk_bytes(offer.disk_bytes, image_bytes)
        if disk > self.disk_bytes:
            return f"disk: {disk} bytes needed, {max(self.disk_bytes, 0)} left"
        return ""


def _has_kvm():
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return fcntl.ioctl(fd, 0xAE00) == 12  # KVM_GET_API_VERSION
    except OSError:
        return False
    finally:
        os.close(fd)


def _boots_by_kvm(settings, kernel, held):
    """A kernel without a root panics at once, and that ends the machine. Where KVM is there and
    does not work (some nested ones do not), it hangs instead."""
    try:
        done = subprocess.run(
            [settings.qemu, "-machine", "q35", "-accel", "kvm", "-cpu", settings.cpu or "host",
             "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
             "-serial", "stdio", "-kernel", kernel, "-append", "console=ttyS0 panic=-1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=KVM_PROBE_S, pass_fds=[held], check=False)
    except FileNotFoundError:
        raise Failure(f"{settings.qemu} is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Linux version" in done.stdout


def pick_accel(settings, kernel, held):
    """kvm or tcg. What was found is kept until the host is booted anew or has another image."""
    if settings.accel != "auto":
        return settings.accel
    if not _has_kvm():
        return "tcg"
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        tried = [file.read().strip(), kernel, os.stat(kernel).st_mtime_ns, settings.qemu]
    path = os.path.join(settings.state_dir, "kvm.json")
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        if known["tried"] == tried:
            return "kvm" if known["works"] is True else "tcg"
    except (OSError, ValueError, TypeError, KeyError):
        pass  # Not tried yet.
    works = _boots_by_kvm(settings, kernel, held)
    write_durably(path, json.dumps({"tried": tried, "works": works}))
    return "kvm" if works else "tcg"
