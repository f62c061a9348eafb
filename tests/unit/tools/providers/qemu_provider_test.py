#!/usr/bin/env python3
"""strata-provider-qemu without a virtual machine: qemu_provider_test.py PROGRAM. See bench.py."""
import os
import signal
import subprocess
import sys
import unittest

from bench import GIB, OFFERS, TOKEN, Bench, links

# What its effects begin with. A call is killed at each of them in turn.
SYSTEM_CALLS = ("flock", "mkdir", "rename", "fsync", "vfork", "socketpair", "sendto", "unlinkat",
                "rmdir", "write")
KILLS_MAX = 50


class Offers(Bench):
    def offered(self):
        return [offer["name"] for offer in self.answer(self.request("offers"))["offers"]]

    def test_are_those_that_this_host_can_give(self):
        offers = self.answer(self.request("offers"))["offers"]
        self.assertEqual(offers, OFFERS[:1])

    def test_are_bounded_by_limits_and_by_what_is_lent_already(self):
        self.configure(limits={"machines": 1})
        machine = self.start()
        self.assertEqual(self.offered(), [])
        self.assertIn("machines (limits.machines)", self.error(self.start_request("strata-2")))
        self.stop(machine)
        self.assertEqual(self.offered(), ["small"])
        for limits, word in (({"memory_bytes": GIB // 2}, "memory"), ({"disk_bytes": GIB}, "disk"),
                             ({"cpus": 0}, "CPUs")):
            self.configure(limits=limits)
            self.assertEqual(self.offered(), [])
            self.assertIn(word + ": ", self.error(self.start_request()))
        self.assertEqual(self.machines(), {})

    def test_are_none_without_an_image(self):
        self.configure(image=self.root + "/none")
        self.assertIn("image build", self.error(self.request("offers")))


class Machines(Bench):
    def test_live_from_start_to_stop(self):
        machine = self.start()
        self.assertEqual(self.machines(), {machine: "strata-1"})
        self.assertEqual(self.machines("strata-2"), {})
        self.assertEqual(len(self.processes()), 1)
        link, = links()
        self.assertTrue(os.path.exists(f"/sys/class/net/bench0/brif/{link}"))
        order = self.read("bin/order").splitlines()
        for line in ("host=qemu-1", "token=" + TOKEN, "masters=lab-1=10.5.0.1:7445", "dns=10.5.0.2",
                     "address=10.5.0.9", "prefix=24", "gateway=10.5.0.1", "label=two words",
                     "worker_flag=--subnet-pool", "pull=lab-1 root/tiny", "mac=52:56:0a:05:00:09"):
            self.assertIn(line, order)
        self.stop(machine)
        self.expect_nothing()
        self.stop(machine)

    def test_keep_the_token_off_command_lines_and_disks(self):
        self.start()
        self.assertIn("token=" + TOKEN, self.read("bin/order"))  # It did arrive.
        for words in self.command_lines():
            self.assertNotIn(TOKEN, " ".join(words))
        self.expect_private()
        for path in self.files():
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.assertNotIn(TOKEN.encode(), file.read(), path)

    def test_do_not_share_an_address_or_a_tag(self):
        first = self.start("strata-1")
        second = self.start("strata-2")
        self.assertIn("address=10.5.0.10", self.read("bin/order"))
        self.assertIn("already", self.error(self.start_request("strata-1")))
        self.assertEqual(self.machines(), {first: "strata-1", second: "strata-2"})
        self.stop(first)
        third = self.start("strata-3")
        self.assertIn("address=10.5.0.9\n", self.read("bin/order"))
        self.assertEqual(set(self.machines()), {second, third})

    def test_are_counted_when_several_are_started_at_once(self):
        self.configure(limits={"machines": 2, "cpus": 16})
        calls = []
        for i in range(4):
            call = subprocess.Popen(self.argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
            call.stdin.write(self.start_request(f"strata-{i}"))
            call.stdin.close()
            calls.append(call)
        codes = []
        for call in calls:
            codes.append(call.wait(60))
            call.stdout.close()
            call.stderr.close()
        self.assertEqual(sorted(codes), [0, 0, 1, 1])
        self.assertEqual((len(self.machines()), len(links())), (2, 2))
        addresses = {line for words in self.command_lines() for line in words if "mac=" in line}
        self.assertEqual(len(addresses), 2)

    def test_leave_nothing_when_they_do_not_start(self):
        for mode, word in (("fail", "no firmware found"), ("no-disk", "No space left on device")):
            self.play(mode)
            self.assertIn(word, self.error(self.start_request()))
            self.expect_nothing()
        self.play("normal")
        self.settings["network"]["bridge"] = "none0"
        self.configure()
        self.assertIn("bridge none0", self.error(self.start_request()))
        self.expect_nothing()
        self.configure(qemu="/nowhere/qemu")
        self.settings["network"]["bridge"] = "bench0"
        self.configure()
        self.assertIn("/nowhere/qemu is not installed", self.error(self.start_request()))
        self.expect_nothing()

    def test_are_ended_by_force_when_they_do_not_end(self):
        self.play("stubborn")
        machine = self.start()
        self.stop(machine)
        self.expect_nothing()

    def test_that_only_look_like_ours_are_left_alone(self):
        machine = self.start()
        words = self.command_lines()[0]
        double = subprocess.Popen(["/usr/bin/python3", "-c", "import time; time.sleep(600)",
                                   *words[1:]])
        try:
            self.stop(machine)
            self.assertIsNone(double.poll())
            self.assertEqual(self.processes(), [double.pid])
        finally:
            double.kill()
            double.wait()
        self.expect_nothing()

    def test_that_are_down_are_listed_and_boot_again(self):
        machine = self.start()
        os.kill(self.processes()[0], signal.SIGKILL)
        while self.processes():
            pass
        self.assertEqual(self.machines(), {machine: "strata-1"})
        self.assertIn("is down", self.run_with(b"", "list").stdout.decode())
        self.assertEqual(self.run_with(b"", "restart", machine).returncode, 0)
        self.assertIn("  runs  ", self.run_with(b"", "list").stdout.decode())
        self.assertNotIn("token", self.read("bin/order"))
        self.assertIn("runs already", self.run_with(b"", "restart", machine).stderr.decode())
        self.assertEqual(len(self.processes()), 1)
        self.stop(machine)
        self.expect_nothing()


class BrokenOff(Bench):
    def expect_found_and_stopped(self):
        """Whatever a killed call left is found by its tag, and goes with the machine."""
        listed = self.machines()
        self.assertLessEqual(len(listed), 1)
        for machine, tag in listed.items():
            self.assertEqual(tag, "strata-1")
            self.stop(machine)
        self.expect_nothing()
        return len(listed)

    def killed_at_each_step(self, data, after):
        """Runs a call again and again, killed at each of its effects in turn: how often it was."""
        return sum(self.killed_at_each(name, data, after) for name in SYSTEM_CALLS)

    def killed_at_each(self, system_call, data, after):
        for nth in range(1, KILLS_MAX):
            done = self.run_with(data, before=[
                "strace", "-o", "/dev/null", "-e", "trace=" + system_call, "-e",
                f"inject={system_call}:signal=KILL:when={nth}"])
            self.assertNotIn(b"strace:", done.stderr)
            if os.path.isdir(self.state):
                self.expect_private()
            after()
            if done.returncode == 0:
                return nth - 1
            self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
        return self.fail("it never ends alone")

    def test_starts_leave_nothing_that_is_not_found(self):
        found = []
        kills = self.killed_at_each_step(self.start_request(),
                                         lambda: found.append(self.expect_found_and_stopped()))
        self.assertGreater(kills, 20)
        self.assertGreater(found.count(0), 3)  # Before the machine has a record.

    def test_stops_are_completed_by_the_next_one(self):
        machine = self.start()

        def after():
            self.expect_found_and_stopped()
            self.start()
        kills = self.killed_at_each_step(self.request("stop", id=machine), after)
        self.assertGreater(kills, 8)

    def test_starts_that_die_while_qemu_starts_are_found(self):
        self.play("kill-caller")
        self.assertEqual(self.run_with(self.start_request()).returncode, -signal.SIGKILL)
        self.expect_private()
        self.assertEqual(self.expect_found_and_stopped(), 1)

    def test_starts_that_die_while_the_disk_is_made_are_found(self):
        self.play("kill-caller-at-disk")
        self.assertEqual(self.run_with(self.start_request()).returncode, -signal.SIGKILL)
        self.assertEqual(len(self.processes()), 1)
        self.assertEqual(self.expect_found_and_stopped(), 1)


class Acceleration(Bench):
    def accel(self):
        self.stop(self.start())
        words = self.command_lines()[-1]
        return words[words.index("-accel") + 1].split(",")[0]

    @unittest.skipUnless(os.path.exists("/dev/kvm"), "what follows has a twin without KVM")
    def test_is_kvm_where_it_boots_a_kernel_and_is_tried_once(self):
        self.configure(accel="auto")
        self.assertEqual((self.accel(), self.accel()), ("kvm", "kvm"))
        self.assertEqual(len(self.command_lines()), 3)

    def test_is_software_where_kvm_boots_none(self):
        self.configure(accel="auto")
        self.play("no-kvm")
        self.assertEqual((self.accel(), self.accel()), ("tcg", "tcg"))


class BadInput(Bench):
    def test_requests_that_are_wrong_are_refused_and_change_nothing(self):
        start = self.start_request
        cases = [
            (b"", "no JSON"), (b"{", "no JSON"), (b"[]", "no object"), (b"\xff\xfe", "no JSON"),
            (b"[" * 100_000, "no JSON"), (b'{"call": "offers"}', "version 1"),
            (b'{"version": 2, "call": "offers"}', "version 1"), (self.request("dance"), "'call'"),
            (self.request("machines"), "tag_prefix"), (self.request("stop"), "'id'"),
            (self.request("stop", id=["x"]), "'id'"), (self.request("stop", id="x" * 300), "'id'"),
            (start("a\nb"), "'tag'"), (start("x" * 257), "'tag'"), (start(""), "'tag'"),
            (start(host="../up"), "'host'"), (start(host="a b"), "'host'"),
            (start(token=""), "'token'"), (start(token=TOKEN + "\nhost=other"), "'token'"),
            (start(masters="a b"), "'masters'"), (start(labels="vm"), "'labels'"),
            (start(labels=["a\nb"]), "'labels'"), (start(offer="none"), "no offer 'none'"),
            (start(offer="huge"), "CPUs"), (b"x" * (1 << 20) + b"x", "larger than"),
        ]
        for data, word in cases:
            self.assertIn(word, self.error(data), data[:200])
        for strange in ("../machines", ".", "qemu-0123456789abcdef", "qemu-1; true"):
            self.stop(strange)
        self.assertEqual(self.machines(), {})
        self.expect_nothing()

    def test_settings_that_are_wrong_are_named(self):
        network = self.settings["network"]
        cases = [
            ({"colour": 1}, "'colour'"), ({"state_dir": "here"}, "state_dir"),
            ({"accel": "hax"}, "accel"), ({"console": "yes"}, "console"),
            ({"network": {**network, "bridge": "a/b"}}, "network.bridge"),
            ({"network": {**network, "addresses": "10.0.0.9-10.0.0.1"}}, "network.addresses"),
            ({"network": {**network, "addresses": "10.0.0.1-10.9.0.1"}}, "network.addresses"),
            ({"network": {**network, "dns": ["x"]}}, "network.dns[0]"),
            ({"offers": [OFFERS[0], OFFERS[0]]}, "the same name"),
            ({"offers": [{**OFFERS[0], "cpus": 0.5}]}, "offers[0].cpus"),
            ({"offers": [{**OFFERS[0], "price_per_hour": -1}]}, "offers[0].price_per_hour"),
            ({"worker_flags": ["a b"]}, "worker_flags[0]"), ({"limits": {"ram": 1}}, "'ram'"),
            ({"pull": [{"host": "h"}]}, "pull[0].image"),
        ]
        good = dict(self.settings)
        for changes, word in cases:
            self.settings = dict(good)
            self.configure(**changes)
            self.assertIn(word, self.error(self.request("offers")))
        self.settings = good
        self.configure()
        os.chmod(self.root + "/config.json", 0o666)
        self.assertIn("chmod go-w", self.error(self.request("offers")))
        os.chmod(self.root + "/config.json", 0o600)
        self.write("config.json", "{")
        self.assertIn("is no JSON", self.error(self.request("offers")))

    def test_a_state_directory_of_others_is_refused(self):
        os.mkdir(self.state, 0o755)
        self.assertIn("chmod 700", self.error(self.request("offers")))

    def test_help_says_what_it_is(self):
        done = self.run_with(b"", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"image", done.stdout)


if __name__ == "__main__":
    Bench.program = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
