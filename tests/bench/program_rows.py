"""The programs that tests/bench/programs measures: what each needs in the image, and how it is run.

A program has prepare(source), which puts what it needs into the directory that becomes the image,
and measure(root), which answers {row: seconds} and raises CommandFailed when the result is wrong.
`source` and `root` are of class Chroot.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile

from roots import SOURCES, CommandFailed, run, seconds

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.environ.get("STRATA_CACHE_DIR", "/var/cache/strata") + "/bench-programs"
COMMAND_SECONDS_MAX = 900

# A process tree of its own without a network: it ends, and its mounts go, with its first process.
ENTER = ('mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/dev/shm" && '
         'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"')
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}


class Chroot:
    """A directory in which a Debian is, or a mounted root of it."""

    def __init__(self, path, fresh_mount=None):
        self.path = path
        self.fresh_mount = fresh_mount  # Mounts the same root again.

    def command(self, *argv):
        return ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER,
                self.path, *argv)

    def run(self, *argv):
        return run(*self.command(*argv), env=ENVIRONMENT, timeout=COMMAND_SECONDS_MAX)

    def seconds(self, *argv):
        return seconds(*self.command(*argv), env=ENVIRONMENT, timeout=COMMAND_SECONDS_MAX)

    def forget_caches(self):
        self.fresh_mount()
        run("sync")
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
            drop.write("3\n")


def expect(what, found, wanted):
    if found != wanted:
        raise CommandFailed(f"{what}: {found}, not {wanted}")


def files_below(directory):
    return sum(len(files) for _, _, files in os.walk(directory))


def cached(name, make):
    """The directory `name` of the cache, which make(directory) fills when it is not there."""
    path = f"{CACHE}/{name}"
    if not os.path.isdir(path):
        os.makedirs(CACHE, exist_ok=True)
        making = tempfile.mkdtemp(prefix="making.", dir=CACHE)
        try:
            os.chmod(making, 0o755)
            make(making)
            os.rename(making, path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return path


def debs(*packages):
    """.debs of the packages, with all that the Debian of the image does not have of what they need.
    """
    archive = run(f"{TOP}/tools/setup/debian-tar", "bookworm", PACKAGES).strip()
    status = run("tar", "-xOf", archive, "./var/lib/dpkg/status")
    made = int(os.stat(archive).st_mtime)

    def fetch(directory):
        run(f"{TOP}/tools/setup/debs", directory, *packages, input=status)

    name = f"debs-{packages[0]}"
    directory = cached(f"{name}.{made}", fetch)
    for old in os.listdir(CACHE):  # Of an older archive.
        if old.startswith(f"{name}.") and old != os.path.basename(directory):
            shutil.rmtree(f"{CACHE}/{old}")
    return sorted(f"{directory}/{deb}" for deb in os.listdir(directory) if deb.endswith(".deb"))


def unpack_debs(source, *packages):
    """Unpacked and not installed: apt in the image does not know of them."""
    for deb in debs(*packages):
        with tempfile.TemporaryFile() as archive:
            run("dpkg-deb", "--fsys-tarfile", deb, stdout=archive)
            archive.seek(0)
            run("tar", "-x", "--keep-directory-symlink", "-C", source.path, stdin=archive)


# What vclusters and the walkthrough use, so that one archive in the cache serves all.
PACKAGES = "python3,openssh-server,openmpi-bin,python3-mpi4py"


def make_debian(source):
    archive = run(f"{TOP}/tools/setup/debian-tar", "bookworm", PACKAGES).strip()
    os.mkdir(source.path)
    run("tar", "-x", "--numeric-owner", "-C", source.path, "--exclude=./dev/*", "-f", archive)
    os.makedirs(f"{source.path}/srv/bench")


# --- git and wheel: files of this machine

FILES = 24_000
FILE_BYTES_MAX = 128 << 10
WHEEL_FILES = 8_000


def regular_files():
    for top in SOURCES:
        for directory, directories, files in os.walk(top):
            directories.sort()
            for name in sorted(files):
                path = f"{directory}/{name}"
                if not os.path.islink(path) and os.path.isfile(path):
                    if os.path.getsize(path) <= FILE_BYTES_MAX:
                        yield path


def make_tree(directory, count):
    """`count` files; those of a second copy differ from those of the first. Their paths."""
    sources = list(regular_files())
    if not sources:
        raise CommandFailed(f"no files in {', '.join(SOURCES)}")
    made = []
    for i in range(count):
        copy = i // len(sources)
        path = f"{directory}/{copy}{sources[i % len(sources)]}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(sources[i % len(sources)], "rb") as old, open(path, "wb") as new:
            new.write(old.read())
            if copy:
                new.write(b"copy %d\n" % copy)
        made.append(path)
    return made


def git(*argv):
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0")
    return run("git", *identity, *argv,
               env={**ENVIRONMENT, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"})


def make_repository(directory):
    work = f"{directory}/work"
    files = make_tree(work, FILES)
    git("init", "-q", "-b", "main", work)
    commits = 5
    for commit in range(commits):
        batch = files[len(files) * commit // commits:len(files) * (commit + 1) // commits]
        changed = files[:len(files) * commit // commits:20]
        for path in changed:
            with open(path, "ab") as file:
                file.write(b"commit %d\n" % commit)
        names = "\0".join(os.path.relpath(path, work) for path in batch + changed)
        run("git", "-C", work, "add", "-f", "--pathspec-from-file=-", "--pathspec-file-nul",
            input=names)
        git("-C", work, "commit", "-q", "-m", f"commit {commit}")
    git("clone", "-q", "--bare", "--no-local", work, f"{directory}/repository.git")
    shutil.rmtree(work)


class Git:
    where = "/srv/bench/repository.git"

    def prepare(self, source):
        unpack_debs(source, "git")
        repository = cached("repository", make_repository) + "/repository.git"
        self.files = git("--git-dir", repository, "ls-tree", "-r", "-z", "--name-only",
                         "main").count("\0")
        run("cp", "-a", repository, source.path + self.where)

    def measure(self, root):
        rows = {f"git clone, {self.files} files": root.seconds("git", "clone", "-q", self.where,
                                                               "/root/clone")}
        top = f"{root.path}/root/clone"
        expect("git clone: files", files_below(top) - files_below(f"{top}/.git"), self.files)
        expect("git clone: changes", self.status(root), "")
        root.forget_caches()
        rows["git status, cold"] = self.status_seconds(root)
        rows["git status, warm"] = self.status_seconds(root)
        expect("git status", self.status(root), "")
        return rows

    def status(self, root):
        return root.run("git", "-C", "/root/clone", "status", "--porcelain")

    def status_seconds(self, root):
        return root.seconds("git", "-C", "/root/clone", "status", "--porcelain")


class Wheel:
    where = "/srv/bench/big.whl"

    def make(self, directory):
        tree = f"{directory}/tree"
        with zipfile.ZipFile(f"{directory}/big.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            for path in make_tree(tree, WHEEL_FILES):
                wheel.write(path, os.path.relpath(path, tree))
        shutil.rmtree(tree)

    def prepare(self, source):
        shutil.copy(cached("wheel", self.make) + "/big.whl", source.path + self.where)

    def measure(self, root):
        time = root.seconds("/usr/bin/python3", "-I", "-m", "zipfile", "-e", self.where,
                            "/opt/wheel")
        expect("unpack of a wheel: files", files_below(f"{root.path}/opt/wheel"), WHEEL_FILES)
        return {f"unpack of a wheel, {WHEEL_FILES} files": time}


# --- apt-get install


class Apt:
    def prepare(self, source):
        self.debs = []
        os.makedirs(f"{source.path}/srv/bench/debs")
        for deb in debs("gcc", "libc6-dev"):
            shutil.copy(deb, f"{source.path}/srv/bench/debs")
            self.debs.append(f"/srv/bench/debs/{os.path.basename(deb)}")

    def measure(self, root):
        time = root.seconds("apt-get", "install", "-q", "-y", "--no-install-recommends",
                            *self.debs)
        for deb in self.debs:
            package = os.path.basename(deb).split("_")[0]
            expect(f"apt-get install: {package}",
                   root.run("dpkg-query", "-W", "-f=${db:Status-Status}", package), "installed")
        root.run("gcc", "--version")
        return {f"apt-get install gcc, {len(self.debs)} packages": time}


# --- SQLite

SQLITE_ROWS = 250_000
SQLITE_TRANSACTIONS = 2_000
SQLITE_MAKE = """
import sqlite3, sys
path, rows = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path)
db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, text TEXT)")
db.executemany("INSERT INTO account VALUES (?, 0, ?)",
               ((i, f"{i:08}" * 28) for i in range(rows)))
db.commit()
"""
SQLITE_MEASURE = """
import sqlite3, sys, time
path, rows, transactions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA synchronous = FULL")
start = time.perf_counter()
for i in range(transactions):
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", (i * 7919 % rows,))
    db.execute("COMMIT")
updates = time.perf_counter() - start
db.close()
db = sqlite3.connect(path)
start = time.perf_counter()
found = db.execute("SELECT count(*), sum(balance), sum(length(text)) FROM account").fetchone()
scan = time.perf_counter() - start
if found != (rows, transactions, rows * 224):
    sys.exit(f"the database has {found}")
if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
    sys.exit("the database is damaged")
print(updates, scan)
"""


class Sqlite:
    where = "/srv/bench/bench.db"

    def prepare(self, source):
        source.run("/usr/bin/python3", "-I", "-c", SQLITE_MAKE, self.where, str(SQLITE_ROWS))
        self.megabytes = os.path.getsize(source.path + self.where) // 1_000_000

    def measure(self, root):
        updates, scan = root.run("/usr/bin/python3", "-I", "-c", SQLITE_MEASURE, self.where,
                                 str(SQLITE_ROWS), str(SQLITE_TRANSACTIONS)).split()
        size = f"{self.megabytes} MB"
        return {f"SQLite, {SQLITE_TRANSACTIONS} transactions in {size}": float(updates),
                f"SQLite, scan of {size}": float(scan)}


# --- PostgreSQL

PG_SECONDS = 10
PG = """
set -eu
PATH=$PATH:/usr/lib/postgresql/15/bin
export PGHOST=/srv/postgres PGPORT=54329 PGDATABASE=postgres
cd /srv/postgres
start() {
  pg_ctl -D db -w -t 120 -l log -s -o "-k $PGHOST -p $PGPORT -c listen_addresses= \
    -c max_wal_size=256MB -c jit=off" start || { cat log >&2; exit 1; }
}
"""
PG_MAKE = PG + """
initdb -D db -A trust -U nobody >/dev/null
start
pgbench -q -i -s 5
pg_ctl -D db -s -w -m fast stop
"""
PG_MEASURE = PG + """
start
pgbench -n -c 4 -j 2 -T "$1"
psql -qAtc "select count(*), (select sum(abalance) from pgbench_accounts) = sum(delta) and
            (select sum(tbalance) from pgbench_tellers) = sum(delta) from pgbench_history"
pg_ctl -D db -s -w -m fast stop
"""


class Postgres:
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c")

    def prepare(self, source):
        unpack_debs(source, "postgresql-15")
        os.mkdir(f"{source.path}/srv/postgres", mode=0o700)
        os.chown(f"{source.path}/srv/postgres", 65534, 65534)
        source.run(*self.as_nobody, PG_MAKE, "pgbench")

    def measure(self, root):
        output = root.run(*self.as_nobody, PG_MEASURE, "pgbench", str(PG_SECONDS))
        processed = re.search(r"transactions actually processed: (\d+)", output)[1]
        expect("pgbench: failed", re.search(r"failed transactions: (\d+)", output)[1], "0")
        expect("pgbench: transactions that are there, sums", output.splitlines()[-1],
               f"{processed}|t")
        return {"PostgreSQL, pgbench, tps": 1 / float(re.search(r"tps = ([\d.]+)", output)[1])}


# --- compiling

HOST_C = {**os.environ, "LC_ALL": "C", "CCACHE_DISABLE": "1"}

# digest.cc needs a header that is not in the compiler's directories.
MAKEFILE = """\
sources := $(filter-out common/digest.cc,$(wildcard common/*.cc layerfs/volume/*.cc))
objects := $(sources:%.cc=build/%.o)
build/all.a: $(objects)
\tar rcs $@ $^
build/%.o: %.cc
\tmkdir -p $(@D)
\tg++ -std=c++20 -O0 -g -D_GNU_SOURCE -nostdinc $(system) -I. -MMD -c $< -o $@
"""


class Compile:
    """This machine's compiler; the sources and all headers come from the root."""
    where = "/srv/compile"

    def prepare(self, source):
        top = source.path + self.where
        os.mkdir(top)
        for folder in ("common", "layerfs", "imaged"):
            run("cp", "-a", f"{TOP}/{folder}", top)
        with open(f"{top}/Makefile", "w", encoding="ascii") as makefile:
            makefile.write(MAKEFILE)
        search = run("g++", "-E", "-v", "-x", "c++", "/dev/null", env=HOST_C,
                     stderr=subprocess.STDOUT)
        self.headers = [os.path.normpath(line.strip()) for line in re.search(
            r"search starts here:\n(.*)End of search", search, re.S)[1].splitlines()
            if line.startswith(" /")]
        for path in self.headers:
            if not any(path.startswith(f"{outer}/") for outer in self.headers):
                shutil.copytree(path, f"{top}/headers{path}", ignore_dangling_symlinks=True)
        self.sources = sum(name.endswith(".cc") and name != "digest.cc"
                           for folder in ("common", "layerfs/volume")
                           for name in os.listdir(f"{TOP}/{folder}"))

    def measure(self, root):
        top = root.path + self.where
        system = " ".join(f"-isystem {top}/headers{path}" for path in self.headers)
        time = seconds("make", "-s", "-C", top, f"-j{os.cpu_count()}", f"system={system}",
                       env=HOST_C, timeout=COMMAND_SECONDS_MAX)
        expect("compile: objects", len(run("ar", "t", f"{top}/build/all.a").split()), self.sources)
        with open(f"{top}/build/common/file_io.d", encoding="utf-8") as read:
            foreign = re.findall(r"\s/usr/\S+", read.read())
        expect("compile: headers that are not of the root", foreign, [])
        return {f"compile {self.sources} C++ files, -O0": time}


# --- npm

NPM_PROJECT = {"name": "bench", "version": "1.0.0", "private": True,
               "dependencies": {"express": "4.21.2"},
               "devDependencies": {"webpack": "5.97.1", "webpack-cli": "5.1.4"}}
NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
               "--logs-max=0", "--omit-lockfile-registry-resolved=false")


class Npm:
    where = "/srv/npm"

    def prime(self, directory):
        """The lock file and the cache, by this machine's npm, which may use its network."""
        if not shutil.which("npm"):
            raise CommandFailed("the cache cannot be primed: there is no npm on this machine")
        with open(f"{directory}/package.json", "w", encoding="ascii") as project:
            json.dump(NPM_PROJECT, project)
        options = ("--prefix", directory, "--cache", f"{directory}/cache", *NPM_OPTIONS)
        with open(f"{directory}/registry", "w", encoding="ascii") as registry:
            registry.write(run("npm", "config", "get", "registry").strip())
        run("npm", "install", "--package-lock-only", *options, timeout=COMMAND_SECONDS_MAX)
        run("npm", "ci", *options, timeout=COMMAND_SECONDS_MAX)
        shutil.rmtree(f"{directory}/node_modules")

    def prepare(self, source):
        primed = cached("npm", self.prime)
        unpack_debs(source, "nodejs", "npm")
        run("cp", "-a", primed, source.path + self.where)
        run("chown", "-R", "0:0", source.path + self.where)
        with open(f"{primed}/registry", encoding="ascii") as registry:
            self.registry = registry.read()
        with open(f"{primed}/package-lock.json", encoding="utf-8") as lock:
            self.packages = [path for path, package in json.load(lock)["packages"].items()
                             if path and not package.get("optional")]

    def measure(self, root):
        time = root.seconds("npm", "ci", "--offline", "--prefix", self.where, "--cache",
                            f"{self.where}/cache", "--registry", self.registry, *NPM_OPTIONS)
        for package in self.packages:
            if not os.path.isfile(f"{root.path}{self.where}/{package}/package.json"):
                raise CommandFailed(f"npm ci: no {package}")
        found = root.run("node", "-p", f"require('{self.where}/node_modules/webpack').version")
        expect("npm ci: webpack", found.strip(), NPM_PROJECT["devDependencies"]["webpack"])
        return {f"npm ci, {len(self.packages)} packages": time}


PROGRAMS = {"git": Git, "apt": Apt, "wheel": Wheel, "sqlite": Sqlite, "postgres": Postgres,
            "compile": Compile, "npm": Npm}
