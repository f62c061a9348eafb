"""The four calls of vclusterd's protocol for providers (docs/providers.md)."""
import json
import os
import re

import host
import machine as machines
import processes
from failure import Failure, is_plain, is_word, write_durably
from image import Image
from store import Store, id_of

VERSION = 1
REQUEST_BYTES_MAX = 1 << 20


def _text(request, key, check=is_plain, length_max=256):
    value = request.get(key)
    if not check(value, length_max):
        raise Failure(f"the request: '{key}' is missing, too long, or has characters that it must "
                      "not have")
    return value


def _labels(request):
    labels = request.get("labels", [])
    if not isinstance(labels, list) or len(labels) > 64 or \
            not all(is_plain(label, 128) for label in labels):
        raise Failure("the request: 'labels' is no list of at most 64 texts")
    return labels


def offers(settings, _request):
    image = Image.open(settings.image)
    store = Store(settings.state_dir)
    room = host.Room(settings, store.list(), lambda i: store.path(i, "disk.qcow2"))
    return {"offers": [
        {"name": offer.name, "cpus": offer.cpus, "memory_bytes": offer.memory_bytes,
         "disk_bytes": offer.disk_bytes, "price_per_hour": offer.price_per_hour,
         "labels": list(offer.labels)}
        for offer in settings.offers if not room.lacks(offer, image.bytes)]}


def _offer_named(settings, name):
    for offer in settings.offers:
        if offer.name == name:
            return offer
    raise Failure(f"there is no offer '{name}' in the configuration")


def _free_address(settings, known):
    taken = {machine["address"] for machine in known.values()}
    for address in settings.network.addresses:
        if address not in taken:
            return address
    raise Failure("no address is left: network.addresses has as many as there are machines")


def start(settings, request):
    order = {"tag": _text(request, "tag"),
             "host": _text(request, "host", is_word, 63),
             "token": _text(request, "token", is_word, 4096),
             "masters": _text(request, "masters", is_word, 4096),
             "labels": _labels(request)}
    offer = _offer_named(settings, _text(request, "offer"))
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", order["host"]):
        raise Failure("the request: 'host' is no name of a host")
    image = Image.open(settings.image)
    store = Store(settings.state_dir)
    if store.exists(id_of(order["tag"])):
        raise Failure(f"there is a machine with the tag {order['tag']} already")
    known = store.list()
    lack = host.Room(settings, known, lambda i: store.path(i, "disk.qcow2")).lacks(
        offer, image.bytes)
    if lack:
        raise Failure(f"this host has too little for {offer.name}: {lack}")
    machine = {"tag": order["tag"], "offer": offer.name, "host": order["host"], "cpus": offer.cpus,
               "memory_bytes": host.vm_memory_bytes(offer.memory_bytes),
               "disk_bytes": host.vm_disk_bytes(offer.disk_bytes, image.bytes),
               "address": _free_address(settings, known), "image": image.directory}
    machine_id = store.add(machine)
    directory = store.path(machine_id)
    try:
        held = processes.hold(store.path(machine_id, "held"))
        try:
            machines.make_disk(settings, image, machine, directory, held)
            write_durably(store.path(machine_id, "order"),
                          machines.order_text(settings, machine, order))
            machines.boot(settings, image, machine, directory, held)
        finally:
            os.close(held)
        machines.forget_token(directory)
    except (Failure, OSError):
        _remove(store, machine_id)
        raise
    return {"id": machine_id}


def _remove(store, machine_id):
    processes.end_holders(store.path(machine_id, "held"))
    store.remove(machine_id)


def stop(settings, request):
    machine_id = _text(request, "id")
    store = Store(settings.state_dir)
    if store.exists(machine_id):
        _remove(store, machine_id)
    return {}


def list_machines(settings, request):
    prefix = request.get("tag_prefix")
    if prefix != "":
        prefix = _text(request, "tag_prefix")
    store = Store(settings.state_dir)
    return {"machines": [{"id": machine_id, "tag": machine["tag"]}
                         for machine_id, machine in store.list().items()
                         if machine["tag"].startswith(prefix)]}


CALLS = {"offers": offers, "start": start, "stop": stop, "machines": list_machines}


def answer(settings, data):
    """The answer to a request, both as bytes."""
    if len(data) > REQUEST_BYTES_MAX:
        raise Failure(f"the request is larger than {REQUEST_BYTES_MAX} bytes")
    try:
        request = json.loads(data)
    except (ValueError, RecursionError):
        # Not what is wrong with it: it may quote the token.
        raise Failure("the request is no JSON") from None
    if not isinstance(request, dict):
        raise Failure("the request is no object")
    if request.get("version") != VERSION:
        raise Failure(f"the request is not of version {VERSION}, which this program speaks")
    call = request.get("call")
    if not isinstance(call, str) or call not in CALLS:
        raise Failure("the request: 'call' is none of " + ", ".join(sorted(CALLS)))
    return json.dumps(CALLS[call](settings, request)).encode() + b"\n"


def restart(settings, machine_id):
    """Boots a machine whose QEMU has ended (the host was booted anew) with the disk that it has."""
    store = Store(settings.state_dir)
    if not store.exists(machine_id):
        raise Failure(f"there is no machine {machine_id}")
    machine = store.read(machine_id)
    machines.restart(settings, Image.open(machine["image"]), machine, store.path(machine_id))


def show(settings):
    """A line for each machine, for people."""
    store = Store(settings.state_dir)
    for machine_id, machine in store.list().items():
        state = "runs" if processes.is_held(store.path(machine_id, "held")) else "is down"
        yield "  ".join([machine_id, state, machine["address"], machine["host"], machine["offer"],
                         machine["tag"]])
