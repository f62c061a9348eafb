"""The configuration file (docs/providers.md)."""
import ipaddress
import json
import os
import re
import stat
from dataclasses import dataclass

from failure import Failure, is_plain, is_word

FILE_BYTES_MAX = 1 << 20
BYTES_MAX = 1 << 50
ADDRESSES_MAX = 4096
KEYS = {"state_dir", "image", "network", "offers", "limits", "pull", "imaged_flags", "worker_flags",
        "accel", "cpu", "qemu", "qemu_img", "console"}


@dataclass(frozen=True)
class Offer:
    name: str
    cpus: int
    memory_bytes: int
    disk_bytes: int
    price_per_hour: float
    labels: tuple


@dataclass(frozen=True)
class Network:
    bridge: str
    addresses: tuple  # In the order in which they are given out.
    prefix: int
    gateway: str
    dns: tuple


@dataclass(frozen=True)
class Settings:
    state_dir: str
    image: str
    network: Network
    offers: tuple
    limits: dict
    pull: tuple  # Pairs: a host of the cluster, an image of it.
    imaged_flags: tuple
    worker_flags: tuple
    accel: str
    cpu: str
    qemu: str
    qemu_img: str
    console: bool


def _object(where, value, known):
    if not isinstance(value, dict):
        raise Failure(f"{where}: must be an object")
    for key in value:
        if key not in known:
            raise Failure(f"{where}: there is no such key as '{key}'")
    return value


def _text(where, value):
    if not is_plain(value, 4096):
        raise Failure(f"{where}: must be a text")
    return value


def _path(where, value):
    if not os.path.isabs(_text(where, value)):
        raise Failure(f"{where}: must be a path from the top")
    return os.path.normpath(value)


def _number(where, value, least, most, whole=True):
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        kind = "whole number" if whole else "number"
        raise Failure(f"{where}: must be a {kind} from {least} to {most}")
    return value


def _list(where, value, count_max, each):
    if not isinstance(value, list) or len(value) > count_max:
        raise Failure(f"{where}: must be a list of at most {count_max}")
    return tuple(each(f"{where}[{i}]", item) for i, item in enumerate(value))


def _word(where, value):
    if not is_word(value):
        raise Failure(f"{where}: must be a text without blanks and quotes")
    return value


def _address(where, value):
    try:
        return str(ipaddress.IPv4Address(_text(where, value)))
    except ValueError:
        raise Failure(f"{where}: '{value}' is no IPv4 address") from None


def _network(value):
    where = "network"
    value = _object(where, value, {"bridge", "addresses", "prefix", "gateway", "dns"})
    bridge = value.get("bridge")
    if not isinstance(bridge, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", bridge):
        raise Failure(f"{where}.bridge: must name a bridge of this host")
    ends = _text(f"{where}.addresses", value.get("addresses")).split("-")
    if len(ends) != 2:
        raise Failure(f"{where}.addresses: must be FIRST-LAST")
    first, last = (int(ipaddress.IPv4Address(_address(f"{where}.addresses", end))) for end in ends)
    if not 0 <= last - first < ADDRESSES_MAX:
        raise Failure(f"{where}.addresses: must be 1 to {ADDRESSES_MAX}, FIRST-LAST")
    return Network(
        bridge=bridge,
        addresses=tuple(str(ipaddress.IPv4Address(i)) for i in range(first, last + 1)),
        prefix=_number(f"{where}.prefix", value.get("prefix"), 8, 30),
        gateway=_address(f"{where}.gateway", value["gateway"]) if "gateway" in value else "",
        dns=_list(f"{where}.dns", value.get("dns", []), 3, _address))


def _label(where, value):
    if not is_plain(value, 128):
        raise Failure(f"{where}: must be a text of at most 128 characters")
    return value


def _offer(where, value):
    value = _object(where, value, {"name", "cpus", "memory_bytes", "disk_bytes", "price_per_hour",
                                   "labels"})
    return Offer(
        name=_word(f"{where}.name", value.get("name")),
        cpus=_number(f"{where}.cpus", value.get("cpus"), 1, 255),
        memory_bytes=_number(f"{where}.memory_bytes", value.get("memory_bytes"), 256 << 20,
                             BYTES_MAX),
        disk_bytes=_number(f"{where}.disk_bytes", value.get("disk_bytes"), 1 << 30, BYTES_MAX),
        price_per_hour=_number(f"{where}.price_per_hour", value.get("price_per_hour"), 0, 1e6,
                               whole=False),
        labels=_list(f"{where}.labels", value.get("labels", []), 64, _label))


def _limits(value):
    value = _object("limits", value, {"machines", "cpus", "memory_bytes", "disk_bytes"})
    return {key: _number(f"limits.{key}", amount, 0, BYTES_MAX) for key, amount in value.items()}


def _pull(where, value):
    value = _object(where, value, {"host", "image"})
    return _word(f"{where}.host", value.get("host")), _word(f"{where}.image", value.get("image"))


def parse(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"is no JSON: {error}") from None
    value = _object("the file", value, KEYS)
    accel = value.get("accel", "auto")
    if accel not in ("auto", "kvm", "tcg"):
        raise Failure("accel: must be auto, kvm or tcg")
    console = value.get("console", False)
    if not isinstance(console, bool):
        raise Failure("console: must be true or false")
    offers = _list("offers", value.get("offers"), 256, _offer)
    if len({offer.name for offer in offers}) != len(offers):
        raise Failure("offers: two have the same name")
    return Settings(
        state_dir=_path("state_dir", value.get("state_dir")),
        image=_path("image", value.get("image")),
        network=_network(value.get("network")),
        offers=offers,
        limits=_limits(value.get("limits", {})),
        pull=_list("pull", value.get("pull", []), 64, _pull),
        imaged_flags=_list("imaged_flags", value.get("imaged_flags", []), 64, _word),
        worker_flags=_list("worker_flags", value.get("worker_flags", []), 64, _word),
        accel=accel,
        cpu=_word("cpu", value["cpu"]) if "cpu" in value else "",
        qemu=_text("qemu", value.get("qemu", "qemu-system-x86_64")),
        qemu_img=_text("qemu_img", value.get("qemu_img", "qemu-img")),
        console=console)


def read(path):
    """The file at `path`, which says what runs with our rights: nobody else may write it."""
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            text = file.read(FILE_BYTES_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {path}: {error}") from None
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Failure(f"{path} says what runs with your rights: it must be yours, and nobody "
                      "else's to write (chown, chmod go-w)")
    if len(text) > FILE_BYTES_MAX:
        raise Failure(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    try:
        return parse(text)
    except Failure as failure:
        raise Failure(f"{path}: {failure}") from None
