"""Real updates: packages of Debian 12 in two versions each, unpacked into an old and a new tree.

Old versions come from the release, new ones from security and updates, through package lists of our
own: the machine's apt configuration is not touched.
"""
import functools
import os
import subprocess
import sys

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASES = ["bookworm", "bookworm-updates", "bookworm-security"]
# What servers and containers have; a package that has one version only at present is left out.
PACKAGES = ["libc6", "locales", "perl-base", "perl-modules-5.36", "libperl5.36",
            "libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal", "git",
            "postgresql-15", "mariadb-server-core", "libnode108", "libruby3.1", "samba-libs",
            "systemd", "libssl3", "openssl", "openssh-client", "openssh-server", "bind9-libs",
            "libgnutls30", "libxml2", "qemu-system-x86", "linux-perf", "apache2-bin",
            "dovecot-core", "clamav", "vim", "containerd", "openjdk-17-jre-headless"]


def apt(base, *arguments, cwd=None):
    options = {"Dir::Etc::sourcelist": f"{base}/sources.list", "Dir::Etc::sourceparts": "/dev/null",
               "Dir::State::lists": f"{base}/lists", "Dir::Cache": f"{base}/cache"}
    argv = [arguments[0], *[f"-o{key}={value}" for key, value in options.items()], *arguments[1:]]
    done = subprocess.run(argv, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def suites():
    """(mirror, release) as this machine's own apt knows them."""
    rows = subprocess.run(["apt-get", "indextargets", "--format",
                           "$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)"], text=True,
                          check=True, stdout=subprocess.PIPE).stdout.splitlines()
    found = {tuple(row.split()[:2]) for row in rows if row.endswith(" main Packages")}
    known = sorted((mirror, release) for mirror, release in found if release in RELEASES)
    if len(known) < len(RELEASES):
        sys.exit(f"this machine's apt needs lists of {', '.join(RELEASES)}: apt-get update")
    return known


def newer(one, other):
    if one == other:
        return 0
    return 1 if subprocess.run(["dpkg", "--compare-versions", one, "gt", other]).returncode == 0 \
        else -1


def versions(base, package):
    """Versions of a package, oldest first."""
    rows = [line.split("|")[1].strip() for line in
            apt(base, "apt-cache", "madison", package).splitlines() if "Packages" in line]
    return sorted(set(rows), key=functools.cmp_to_key(newer))


def prepare_lists(base):
    for directory in ("lists/partial", "cache/archives/partial", "debs"):
        os.makedirs(f"{base}/{directory}", exist_ok=True)
    with open(f"{base}/sources.list", "w", encoding="utf-8") as sources:
        for archive, suite in suites():
            sources.write(f"deb [arch=amd64 signed-by={KEYRING}] {archive} {suite} main\n")
    apt(base, "apt-get", "-q", "update")


def fetch(base):
    """[(package, old version, new version)] whose archives are in base/debs afterwards."""
    prepare_lists(base)
    pairs = []
    for package in PACKAGES:
        found = versions(base, package)
        if len(found) > 1:
            pairs.append((package, found[0], found[-1]))
    for package, *both in pairs:
        for version in both:
            if deb_path(base, package, version) is None:
                apt(base, "apt-get", "-q", "download", f"{package}={version}", cwd=f"{base}/debs")
    return pairs


def deb_path(base, package, version):
    """The archive that apt-get made of it; None when it has not yet."""
    for architecture in ("amd64", "all"):
        path = f"{base}/debs/{package}_{version.replace(':', '%3a')}_{architecture}.deb"
        if os.path.exists(path):
            return path
    return None


def unpack(base, pairs, old_tree, new_tree):
    for package, old, new in pairs:
        for version, tree in ((old, old_tree), (new, new_tree)):
            subprocess.run(["dpkg-deb", "-x", deb_path(base, package, version), tree], check=True)
