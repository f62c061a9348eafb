"""strata-provider-qemu on a bench: QEMU and qemu-img are fakes, the bridge, the links, the
processes and the files are real. Runs in a network namespace of its own (CMakeLists.txt)."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "strata1-SecretOfTheJoin"
GIB = 1 << 30
OFFERS = [
    {"name": "small", "cpus": 1, "memory_bytes": GIB // 2, "disk_bytes": GIB,
     "price_per_hour": 0.5, "labels": ["vm", "two words"]},
    {"name": "huge", "cpus": 255, "memory_bytes": GIB, "disk_bytes": GIB, "price_per_hour": 1}]


def links():
    return [name for name in os.listdir("/sys/class/net") if name.startswith("sq-")]


class Bench(unittest.TestCase):
    program = None  # Set by the test's main.

    @classmethod
    def setUpClass(cls):
        if not os.path.exists("/sys/class/net/bench0"):
            subprocess.run(["ip", "link", "add", "bench0", "type", "bridge"], check=True)
            # What /sys shows of links is of the namespace in which it was mounted.
            subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="strata-provider.", dir="/var/tmp")
        self.bin = os.path.join(self.root, "bin")
        shutil.copytree(os.path.join(HERE, "fakes"), self.bin)
        self.image = os.path.join(self.root, "image")
        os.mkdir(self.image)
        for name in ("vmlinuz", "initrd", "root.img"):
            with open(os.path.join(self.image, name), "wb") as file:
                file.truncate(1 << 20)
        self.write("image/image.json", json.dumps({"version": 1}))
        self.state = os.path.join(self.root, "state, of it")  # QEMU splits its words at commas.
        self.settings = {
            "state_dir": self.state, "image": self.image, "accel": "tcg",
            "qemu": os.path.join(self.bin, "qemu"), "qemu_img": os.path.join(self.bin, "qemu-img"),
            "network": {"bridge": "bench0", "addresses": "10.5.0.9-10.5.0.12", "prefix": 24,
                        "gateway": "10.5.0.1", "dns": ["10.5.0.2"]},
            "offers": OFFERS, "limits": {"cpus": 16},
            "worker_flags": ["--subnet-pool", "10.7.0.0/16"],
            "pull": [{"host": "lab-1", "image": "root/tiny"}]}
        self.configure()
        self.play("normal")
        self.addCleanup(self.clean_up)

    def clean_up(self):
        for pid in self.processes():
            os.kill(pid, 9)
        for _ in range(200):
            if not self.processes():
                break
            time.sleep(0.02)
        shutil.rmtree(self.root)

    def write(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def configure(self, **changes):
        self.settings.update(changes)
        self.write("config.json", json.dumps(self.settings))
        os.chmod(os.path.join(self.root, "config.json"), 0o644)

    def play(self, mode):
        self.write("bin/mode", mode)

    def argv(self, *words):
        return [self.program, "--config", os.path.join(self.root, "config.json"), *words]

    def run_with(self, data, *words, before=()):
        return subprocess.run([*before, *self.argv(*words)], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, check=False)

    def request(self, call, **fields):
        return json.dumps({"version": 1, "call": call, **fields}).encode()

    def start_request(self, tag="strata-1", **changes):
        fields = {"offer": "small", "tag": tag, "host": "qemu-1", "token": TOKEN,
                  "masters": "lab-1=10.5.0.1:7445", "labels": ["vm", "two words"], **changes}
        return self.request("start", **fields)

    def answer(self, data):
        done = self.run_with(data)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout)

    def error(self, data):
        done = self.run_with(data)
        self.assertEqual(done.returncode, 1, done.stdout)
        text = done.stderr.decode()
        self.assertNotIn(TOKEN, text)
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("strata-provider-qemu: "), text)
        return text

    def start(self, tag="strata-1", **changes):
        return self.answer(self.start_request(tag, **changes))["id"]

    def stop(self, machine_id):
        self.assertEqual(self.answer(self.request("stop", id=machine_id)), {})

    def machines(self, prefix="strata-"):
        listed = self.answer(self.request("machines", tag_prefix=prefix))["machines"]
        return {machine["id"]: machine["tag"] for machine in listed}

    def processes(self):
        """Of this bench: all whose command line or open files are below its root."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if self.root.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass  # Ended meanwhile.
        return found

    def command_lines(self):
        return [json.loads(line) for line in self.read("bin/command-lines").splitlines()]

    def files(self):
        for where, directories, files in os.walk(self.state):
            for name in directories + files:
                yield os.path.join(where, name)

    def expect_private(self):
        for path in [self.state, *self.files()]:
            self.assertEqual(os.stat(path).st_mode & 0o077, 0, path)

    def expect_nothing(self):
        self.assertEqual(self.processes(), [])
        self.assertEqual(links(), [])
        self.assertEqual(os.listdir(os.path.join(self.state, "machines")), [])
