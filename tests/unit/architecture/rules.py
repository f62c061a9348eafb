"""What the architecture test demands: the one place where the allowed edges are written."""

# A folder may include from itself and from these (docs/overview.md). An entry with a slash is
# stricter than its top folder and replaces that rule.
ALLOWED_INCLUDES = {
    "common": set(),
    "imaged": {"common"},
    "net": {"common"},
    "layerfs": {"common", "imaged"},
    "migrate": {"common", "imaged"},
    "vclusterd": {"common", "imaged", "net", "layerfs", "migrate"},
    # Tools use APIs and client libraries only.
    "tools": {"common", "imaged/api", "imaged/client", "imaged/archive/directory_tar.h",
              "imaged/archive/pax_writer.h", "imaged/build", "imaged/oci/documents.h",
              "imaged/registry_client", "net/api", "vclusterd/api", "vclusterd/definition"},
    "tests": {"common", "imaged", "net", "layerfs", "migrate", "vclusterd", "tools"},
    # The .proto files and what is made of them are contracts: they know nobody.
    "imaged/api": set(),
    "vclusterd/api": set(),
    "net/api": set(),
    # What a user asks for, and from what should be to what is told to hosts: no host in it.
    "vclusterd/definition": {"common"},
    "vclusterd/scheduler": {"common"},
    # A host's part knows no master.
    "vclusterd/host": {"common", "imaged/client", "net", "layerfs", "migrate", "vclusterd/api",
                       "vclusterd/definition", "vclusterd/jobs/run_id.h", "vclusterd/runtime",
                       "vclusterd/shim", "vclusterd/volumes"},
    # The shared directory: masters and hosts rest on it.
    "vclusterd/volumes": {"common"},
    # Renting knows no master: it says what it needs of one.
    "vclusterd/providers": {"common", "vclusterd/api", "vclusterd/scheduler"},
    # Who may do what rests on records alone; the REST server and the master rest on it.
    "vclusterd/users": {"common", "vclusterd/api"},
    # REST converts, and calls what the gRPC service calls; it knows no host.
    "vclusterd/rest": {"common", "vclusterd/api", "vclusterd/classes", "vclusterd/definition",
                       "vclusterd/master", "vclusterd/users"},
    # A client's library must not pull the store in.
    "imaged/client": {"common", "imaged/api"},
    "imaged/registry_client": {"common", "imaged/oci/blob_source.h", "imaged/oci/documents.h",
                               "imaged/oci/image_selection.h"},
    # Dockerfiles are read, and their builds planned, without a store: clients do it.
    "imaged/build": {"common", "imaged/api"},
    # Placement is pure: values in, decisions out.
    "vclusterd/scheduler": {"common"},
    # How a job goes on is pure: records and reports in, records and orders out.
    "vclusterd/jobs": {"common", "vclusterd/api", "vclusterd/definition"},
    # Comparing and rebasing images is pure: trees in, a report or a tree out.
    "imaged/compare": {"common", "imaged/manifest"},
    # Vcluster files are read, written and compared without a host: clients do it too.
    "vclusterd/definition": {"common"},
}

TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "cmake", "common", "layerfs", "imaged", "vclusterd",
    "net", "migrate", "tests", "tools", "docs", "README.md", "CHANGELOG.md", "LICENSE",
}
NOT_OURS = {"build"}  # Made by tools, ignored by git. Names that start with a dot are fine too.

FILE_LINES_MAX = 600
LINE_COLUMNS_MAX = 100  # As in .clang-format.
SOURCE_SUFFIXES = (".cc", ".h", ".c", ".proto")

SLEEP = r"\b(sleep|usleep)\s*\(|\bsleep_for\s*\("
SKIP = r"\bGTEST_SKIP\b|\bDISABLED_"
# (pattern, why), matched on code without comments and string literals.
FORBIDDEN_CODE = [
    (r"\bsystem\s*\(", "runs a shell: use common/subprocess.h"),
    (r"\bpopen\s*\(", "runs a shell: use common/subprocess.h"),
    (r"\b(sprintf|vsprintf|strcpy|strcat|gets)\s*\(", "has no bound"),
    (SLEEP, "wait for the event instead of sleeping"),
    (SKIP, "no test may be skipped"),
]
# The same, but tests may: a forked child of a test, a fixture's constructor.
FORBIDDEN_CODE_OUTSIDE_TESTS = [
    (r"\bexecl[pe]?\s*\(", "use common/subprocess.h"),
    (r"\bthrow\s+[A-Za-z_:]", "errors are Result<T> (common/result.h)"),
]
# Matched on the whole text, comments included.
FORBIDDEN_TEXT = [
    (r"\b(TODO|FIXME|XXX|HACK)\b", "finish it, or open an issue"),
]
# path -> patterns that it may use, and why.
EXCEPTIONS = {
    # The kernel has no event for a frozen or emptied cgroup v1; bounded by a deadline.
    "vclusterd/runtime/cgroups.cc": {SLEEP},
    # flock(2) has no timeout.
    "vclusterd/runtime/node_runtime.cc": {SLEEP},
    # Files of cgroup v1 are looked at where the host has v1 (CI's has).
    "tests/unit/vclusterd/node_runtime_test.cc": {SKIP},
}

FORBIDDEN_FILE_NAMES = [r"(^|/)(utils?|helpers?|misc)\.(h|cc)$"]
