"""What is known of the machines, on disk.

    STATE/lock                 one call at a time
    STATE/machines/ID/         a machine, from before anything is made for it until all is gone
        machine.json           tag, offer, address; written before the directory has its name
        held                   open, and locked, in every process that works for the machine
        order                  what the guest is told; without its token once the guest has it
        disk.qcow2, console.log
    STATE/machines/.*          being made or removed: nothing but files, swept by the next call
    STATE/kvm.json             whether KVM boots the image's kernel here

Directories are 0700, files 0600.
"""
import fcntl
import hashlib
import json
import os
import re
import shutil

from failure import Failure, deadline, is_plain, sync_directory, write_durably

VERSION = 1
LOCK_S = 120
MACHINE_FIELDS = {"tag": str, "offer": str, "host": str, "cpus": int, "memory_bytes": int,
                  "disk_bytes": int, "address": str, "image": str}


def id_of(tag):
    """Of the tag alone, so that one tag is never on two machines."""
    return "qemu-" + hashlib.sha256(tag.encode()).hexdigest()[:16]


class Store:
    """REQUIRES: one object of a state directory at a time in a process; it has the lock."""

    def __init__(self, state_dir):
        self.state_dir = state_dir
        self.machines_dir = os.path.join(state_dir, "machines")
        try:
            os.makedirs(state_dir, mode=0o700, exist_ok=True)
            os.makedirs(self.machines_dir, mode=0o700, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make {self.machines_dir}: {error.strerror}") from None
        status = os.stat(state_dir)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise Failure(f"{state_dir} holds secrets: it must be yours alone (chown, chmod 700)")
        self._lock = os.open(os.path.join(state_dir, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        with deadline(LOCK_S, "another call of this provider"):
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._sweep()

    def _sweep(self):
        for name in os.listdir(self.machines_dir):
            if name.startswith("."):
                shutil.rmtree(os.path.join(self.machines_dir, name))

    def path(self, machine_id, *rest):
        return os.path.join(self.machines_dir, machine_id, *rest)

    def exists(self, machine_id):
        # What else is asked for cannot be a machine of ours.
        return (re.fullmatch(r"qemu-[0-9a-f]{16}", machine_id) is not None and
                os.path.isdir(self.path(machine_id)))

    def add(self, machine):
        """Durable when it returns: from now on `list` has it. REQUIRES: none has its tag."""
        machine_id = id_of(machine["tag"])
        new = os.path.join(self.machines_dir, "." + machine_id)
        os.mkdir(new, 0o700)
        text = json.dumps({"version": VERSION, **machine})
        write_durably(os.path.join(new, "machine.json"), text)
        os.close(os.open(os.path.join(new, "held"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.rename(new, self.path(machine_id))
        sync_directory(self.machines_dir)
        return machine_id

    def remove(self, machine_id):
        """All files. REQUIRES: no process works for it any more."""
        gone = os.path.join(self.machines_dir, "." + machine_id)
        os.rename(self.path(machine_id), gone)
        sync_directory(self.machines_dir)
        shutil.rmtree(gone)

    def read(self, machine_id):
        path = self.path(machine_id, "machine.json")
        try:
            with open(path, encoding="utf-8") as file:
                machine = json.load(file)
        except (OSError, ValueError) as error:
            raise Failure(f"cannot read {path}: {error}") from None
        if not isinstance(machine, dict) or machine.get("version") != VERSION:
            raise Failure(f"{path} is of another version of this program")
        for key, kind in MACHINE_FIELDS.items():
            if not isinstance(machine.get(key), kind):
                raise Failure(f"{path}: '{key}' is missing or wrong")
        if not is_plain(machine["tag"]) or id_of(machine["tag"]) != machine_id:
            raise Failure(f"{path} has the tag of another machine")
        return machine

    def list(self):
        """Id and record of each machine."""
        return {name: self.read(name) for name in sorted(os.listdir(self.machines_dir))}
