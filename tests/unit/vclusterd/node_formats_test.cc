// The pure parts of the runtime: requests, records, configuration, files, keys, durable state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "common/file_io.h"
#include "common/subprocess.h"
#include "vclusterd/host/owner_ids.h"
#include "vclusterd/host/part_store.h"
#include "vclusterd/runtime/apparmor.h"
#include "vclusterd/runtime/cgroup_path.h"
#include "vclusterd/runtime/io_devices.h"
#include "vclusterd/runtime/isolation.h"
#include "vclusterd/runtime/node_config.h"
#include "vclusterd/runtime/node_files.h"
#include "vclusterd/runtime/ssh_keys.h"
#include "vclusterd/shim/node_record.h"
#include "vclusterd/shim/node_request.h"
#include "vclusterd/shim/private_mounts.h"

namespace strata::vcluster {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

NodeSpec Spec() {
  NodeSpec spec;
  spec.id = "7-1";
  spec.prefix = net::Ipv4Prefix::Parse("10.90.7.0/24").value();
  spec.gateway = spec.prefix.Host(1);
  spec.peers = {{"hpc-0", {"node-0"}, spec.prefix.Host(2)}, {"hpc-1", {}, spec.prefix.Host(3)}};
  spec.self = spec.peers[1];
  spec.id_first = 1'065'536;
  spec.machine_id = std::string(32, '0');
  spec.ssh = {std::string(32, 'a'), std::string(32, 'b')};
  return spec;
}

std::string Item(const StartNodeRequest& request, const std::string& key) {
  for (const auto& [name, value] : request.items) {
    if (name == key) return value;
  }
  return "(absent)";
}

TEST(NodeRequest, ComesBackAsItWasAndNulsAreRefused) {
  ExecNodeRequest request;
  request.name = "n";
  request.uid = 1000;
  request.terminal = true;
  request.env = {"A=b c\nd", ""};
  request.argv = {"sh", "-c", "echo \"$A\""};
  const auto bytes = Encode(request);
  ASSERT_TRUE(bytes.ok());
  const auto back = DecodeExec(*bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->argv, request.argv);
  EXPECT_EQ(back->env, request.env);
  EXPECT_EQ(back->uid, 1000u);
  EXPECT_TRUE(back->terminal);
  request.argv.push_back(std::string("a\0b", 3));
  EXPECT_EQ(Encode(request).error().code(), Code::kInvalidArgument);
}

TEST(NodeRequest, EveryTruncationIsRefused) {
  const std::string bytes = Encode(MakeStartRequest(Spec(), {})).value();
  ASSERT_TRUE(DecodeStart(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeStart(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeStart(bytes + "x").ok());
}

TEST(NodeRecord, ComesBackAndGarbageIsCorrupt) {
  const NodeRecord record{{12, 3456}, {11, 3400}};
  const auto back = ParseRecord(FormatRecord(record));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->init, record.init);
  EXPECT_EQ(back->monitor, record.monitor);
  for (const char* text : {"", "12", "12 x\n11 1\n", "1 2\n3 4\n", "-5 2\n3 4\n"}) {
    EXPECT_EQ(ParseRecord(text).error().code(), Code::kCorrupt) << text;
  }
}

TEST(NodeRecord, AProcessWithAnotherStartTimeIsAnotherProcess) {
  ProcessId self = IdentifyProcess(::getpid()).value();
  EXPECT_TRUE(OpenProcess(self).ok());
  ++self.start_ticks;
  EXPECT_EQ(OpenProcess(self).error().code(), Code::kNotFound);
}

TEST(NodeConfig, MapsIdsAndDropsWhatANodeDoesNotNeed) {
  const StartNodeRequest request = MakeStartRequest(Spec(), {});
  EXPECT_EQ(Item(request, "lxc.idmap"), "u 0 1065536 65536");
  EXPECT_EQ(Item(request, "lxc.net.0.ipv4.address"), "10.90.7.3/24");
  EXPECT_EQ(Item(request, "lxc.console.path"), "none");
  EXPECT_EQ(Item(request, "lxc.apparmor.profile"), "(absent)");
  EXPECT_EQ(Item(request, "lxc.cgroup.pids.max"), "4096");
  EXPECT_EQ(Item(request, "lxc.cgroup.memory.limit_in_bytes"), "(absent)");
}

TEST(NodeConfig, AnAddressOfIpv6IsOfTheNodesFirstProcess) {
  NodeSpec spec = Spec();
  EXPECT_THAT(MakeStartRequest(spec, {}).argv, Not(Contains("--ipv6")));
  spec.self.address6 = net::IpAddress::Parse("fd12::7:0:0:0:3").value();
  EXPECT_THAT(MakeStartRequest(spec, {}).argv, Contains("fd120000000000070000000000000003"));
}

TEST(NodeConfig, WritesLimitsInTheWordsOfTheHostsCgroups) {
  NodeSpec spec = Spec();
  spec.limits = {1.5, 512u << 20, 100};
  const StartNodeRequest v1 = MakeStartRequest(spec, {});
  EXPECT_EQ(Item(v1, "lxc.cgroup.cpu.cfs_quota_us"), "150000");
  EXPECT_EQ(Item(v1, "lxc.cgroup.memory.limit_in_bytes"), "536870912");
  HostLayout unified;
  unified.unified_cgroups = true;
  const StartNodeRequest v2 = MakeStartRequest(spec, unified);
  EXPECT_EQ(Item(v2, "lxc.cgroup2.cpu.max"), "150000 100000");
  EXPECT_EQ(Item(v2, "lxc.cgroup2.memory.max"), "536870912");
  EXPECT_EQ(Item(v2, "lxc.cgroup2.pids.max"), "100");
  EXPECT_EQ(Item(v2, "lxc.cgroup.pids.max"), "(absent)");
}

TEST(NodeConfig, IsolatesNodesInTheWordsOfTheHost) {
  HostLayout host;
  host.run_dir = "/run/x";
  const StartNodeRequest v1 = MakeStartRequest(Spec(), host);
  EXPECT_EQ(Item(v1, "lxc.seccomp.profile"), "/run/x/seccomp");
  EXPECT_EQ(Item(v1, "lxc.cgroup.devices.deny"), "a");
  EXPECT_EQ(Item(v1, "lxc.namespace.keep"), "cgroup");
  EXPECT_EQ(Item(v1, "lxc.prlimit.core"), "(absent)");
  EXPECT_THAT(Item(v1, "lxc.cap.drop"), HasSubstr("sys_resource"));
  EXPECT_THAT(v1.read_only_paths, Contains("/run/x/nodes/s-7-1/strata"));
  host.unified_cgroups = true;
  host.apparmor_profile = kNodeProfile;
  const StartNodeRequest v2 = MakeStartRequest(Spec(), host, /*cores_are_piped=*/true);
  EXPECT_EQ(Item(v2, "lxc.cgroup2.devices.deny"), "a");
  EXPECT_EQ(Item(v2, "lxc.cgroup2.cgroup.max.descendants"), "1024");
  EXPECT_EQ(Item(v2, "lxc.namespace.keep"), "(absent)");
  EXPECT_EQ(Item(v2, "lxc.prlimit.core"), "1");
  EXPECT_EQ(Item(v2, "lxc.apparmor.profile"), "strata-node");
}

TEST(NodeConfig, NoNodeGetsTheMemoryThatItsHostNeeds) {
  HostLayout host;
  host.memory_bytes_max = 1u << 30;
  NodeSpec spec = Spec();
  const auto limit = [&] {
    return Item(MakeStartRequest(spec, host), "lxc.cgroup.memory.limit_in_bytes");
  };
  EXPECT_EQ(limit(), "1073741824");
  spec.limits.memory_bytes = uint64_t{8} << 30;
  EXPECT_EQ(limit(), "1073741824");
  spec.limits.memory_bytes = 1u << 20;
  EXPECT_EQ(limit(), "1048576");
  EXPECT_EQ(NodeMemoryMax(uint64_t{16} << 30), uint64_t{15} << 30);
  EXPECT_EQ(NodeMemoryMax(uint64_t{1} << 30), uint64_t{768} << 20);
  EXPECT_EQ(NodeMemoryMax(256u << 20), 0u);
}

TEST(Seccomp, DeniesKeysHandlesModulesAndWhatSeesTheWholeKernel) {
  const std::string profile = SeccompProfile();
  EXPECT_TRUE(profile.starts_with("2\ndenylist\n"));
  // Of all ABIs of the machine: a call by the 32-bit entry is denied as well.
  EXPECT_THAT(profile, HasSubstr("\n[all]\n"));
  for (const char* line : {"keyctl errno 38", "open_by_handle_at errno 1", "init_module errno 1",
                           "bpf errno 1", "io_uring_setup errno 1", "syslog errno 1"}) {
    EXPECT_THAT(profile, HasSubstr(std::string("\n") + line + "\n"));
  }
  // What nodes are for: processes of their own, mounts, debuggers.
  for (const char* needed : {"ptrace", "mount", "unshare", "process_vm_readv", "clone"}) {
    EXPECT_THAT(profile, Not(HasSubstr(std::string("\n") + needed + " ")));
  }
}

TEST(Cgroups, ANodeIsItsContainersGroupWhereverProcess1WasMoved) {
  EXPECT_EQ(ContainerCgroup("/lxc.payload.s1a-1-0"), "/lxc.payload.s1a-1-0");
  EXPECT_EQ(ContainerCgroup("/lxc.payload.s1a-1-0/init/a"), "/lxc.payload.s1a-1-0");
  EXPECT_EQ(ContainerCgroup("/lxc.payload.s1a-1-0/lxc.payload.x"), "/lxc.payload.s1a-1-0");
  EXPECT_EQ(ContainerCgroup("/system.slice/ssh.service"), "/system.slice/ssh.service");
}

TEST(IoDevices, AreWholeDisks) {
  const auto directory = TemporaryDirectory::Create("/var/tmp", "strata-io.");
  ASSERT_TRUE(directory.ok());
  const auto disk = DiskOf(directory->path());
  ASSERT_TRUE(disk.ok()) << disk.error().message();
  EXPECT_TRUE(PathExists("/sys/dev/block/" + *disk));
  EXPECT_FALSE(PathExists("/sys/dev/block/" + *disk + "/partition"));
  const auto none = DiskOf("/proc/self");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), Code::kUnsupported);
  const auto devices = IoDevicesOf(directory->path(), true, {"/var/tmp", "/var/tmp"});
  ASSERT_TRUE(devices.ok());
  EXPECT_EQ(devices->own, *disk);
  EXPECT_EQ(devices->all, std::vector<std::string>{*disk});
}

TEST(NodeConfig, TheRequestsVariablesWinOverTheImagesAndThoseOverTheDefaults) {
  const auto env = NodeEnvironment({"PATH=/image", "A=1", "=bad", "bad"}, {"A=2"});
  EXPECT_THAT(env, Contains("PATH=/image"));
  EXPECT_THAT(env, Contains("A=2"));
  EXPECT_THAT(env, Not(Contains("A=1")));
  EXPECT_THAT(env, Contains("OMPI_ALLOW_RUN_AS_ROOT=1"));
}

TEST(NodeFiles, NameServersThatOnlyTheHostReachesAreLeftOut) {
  EXPECT_EQ(ResolvConf({}, "nameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch x\nnameserver ::1"),
            "nameserver 9.9.9.9\nsearch x\n");
}

TEST(NodeFiles, AGatewayThatAnswersIsAskedFirstAndTheDomainIsTriedFirst) {
  NodeSpec spec = Spec();
  spec.domain = "hpc";
  EXPECT_EQ(ResolvConf(spec, "nameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch x y\noptions a"),
            "nameserver 10.90.7.1\nsearch hpc x y\nnameserver 9.9.9.9\noptions a\n");
  EXPECT_EQ(ResolvConf(spec, "domain x"), "nameserver 10.90.7.1\nsearch hpc x\n");
  EXPECT_EQ(ResolvConf(spec, ""), "nameserver 10.90.7.1\nsearch hpc\n");
}

TEST(NodeFiles, HostsNamesAllNodes) {
  EXPECT_EQ(HostsFile(Spec()), "127.0.0.1 localhost\n10.90.7.2 hpc-0 node-0\n10.90.7.3 hpc-1\n");
  NodeSpec spec = Spec();
  spec.neighbours = {{"lab-0.lab", {"node.lab"}, net::Ipv4::Parse("10.90.8.2").value()}};
  EXPECT_EQ(HostsFile(spec), HostsFile(Spec()) + "10.90.8.2 lab-0.lab node.lab\n");
  EXPECT_EQ(SshClientConfig(spec), SshClientConfig(Spec())) << "their keys are others";
}

TEST(NodeFiles, WhileKeysChangeBothAreTakenAndTheNewOnesAreShown) {
  const auto directory = TemporaryDirectory::Create("/tmp", "strata-node-files.");
  ASSERT_TRUE(directory.ok());
  SshKeyPairs keys;
  const std::string dir = directory->path() + "/node";
  NodeSpec spec = Spec();
  spec.id_first = ::getuid();
  const auto file = [&](const std::string& name) {
    return ReadFile(dir + "/strata/" + name).value();
  };
  ASSERT_TRUE(WriteNodeFiles(spec, dir, keys).ok());
  const std::string old_login = file("authorized_keys");
  const std::string old_known = file("known_hosts");
  const std::string old_key = file("login_key");
  // By every name that a node has.
  EXPECT_THAT(old_known, HasSubstr("10.90.7.2,10.90.7.3,hpc-0,hpc-1,node-0 ssh-ed25519 "));
  spec.ssh = {std::string(32, 'c'), std::string(32, 'd'), std::string(32, 'a'),
              std::string(32, 'b')};
  ASSERT_TRUE(WriteNodeFiles(spec, dir, keys).ok());
  EXPECT_THAT(file("authorized_keys"), HasSubstr(old_login));
  EXPECT_THAT(file("known_hosts"), HasSubstr(old_known));
  const std::string new_key = file("login_key");
  EXPECT_NE(new_key, old_key);
  spec.ssh = {std::string(32, 'c'), std::string(32, 'd'), "", ""};
  ASSERT_TRUE(WriteNodeFiles(spec, dir, keys).ok());
  EXPECT_EQ(file("login_key"), new_key);
  EXPECT_THAT(file("authorized_keys"), Not(HasSubstr(old_login)));
  EXPECT_THAT(file("known_hosts"), Not(HasSubstr(old_known)));
}

TEST(SshKeys, AreWhatSshKeygenReads) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-key.");
  for (const char seed : {'a', 'b'}) {
    const auto pair = MakeSshKeyPair(std::string(32, seed), "strata-login");
    ASSERT_TRUE(pair.ok());
    const std::string path = dir->path() + "/key";
    ASSERT_TRUE(WriteFileAtomically(path, pair->private_file, 0600).ok());
    EXPECT_EQ(RunChecked({"ssh-keygen", "-y", "-f", path}).value(), pair->public_line);
  }
  EXPECT_NE(MakeSshKeyPair(std::string(32, 'a'), "")->public_line,
            MakeSshKeyPair(std::string(32, 'b'), "")->public_line);
  EXPECT_FALSE(MakeSshKeyPair("short", "").ok());
}

TEST(SshKeyPairs, RemembersTheLastOnesAndMixesNoneUp) {
  SshKeyPairs pairs;
  const auto first = pairs.Of(std::string(32, 'a'), "x").value();
  EXPECT_EQ(pairs.Of(std::string(32, 'a'), "x").value(), first) << "made twice";
  EXPECT_NE(pairs.Of(std::string(32, 'a'), "y").value()->public_line, first->public_line);
  EXPECT_FALSE(pairs.Of("short", "x").ok());
  for (int i = 0; i < 300; ++i) {
    const std::string seed = std::to_string(1000 + i) + std::string(28, 's');
    EXPECT_EQ(pairs.Of(seed, "x").value()->public_line, MakeSshKeyPair(seed, "x")->public_line);
  }
  const auto again = pairs.Of(std::string(32, 'a'), "x").value();
  EXPECT_NE(again, first) << "never forgotten";
  EXPECT_EQ(again->private_file, first->private_file);
}

TEST(PrivateMounts, OnlyWhatLeadsToNeededPathsIsKept) {
  const std::vector<std::string> needed = {"/run/strata/nodes/x"};
  for (const char* kept : {"/", "/proc", "/sys/fs/cgroup/cpu", "/dev", "/dev/pts", "/dev/null",
                           "/run", "/run/strata"}) {
    EXPECT_TRUE(IsNeededMount(kept, needed)) << kept;
  }
  for (const char* dropped : {"/home", "/run/strata/other", "/runner", "/process", "/mnt/a",
                              "/dev/shm/disk", "/dev/shm", "/proc/fs/nfsd"}) {
    EXPECT_FALSE(IsNeededMount(dropped, needed)) << dropped;
  }
  EXPECT_THAT(ParseMountPoints("1 2 0:1 / /a\\040b rw - x y z\nbroken\n2 1 0:2 / /c rw - x y z"),
              ::testing::ElementsAre("/a b", "/c"));
}

host::v1::HostPart FilePart() {
  host::v1::HostPart part;
  host::v1::Part& order = *part.mutable_order();
  order.set_number(7);
  order.set_revision(3);
  order.set_cluster("hpc");
  order.set_owner_uid(1000);
  order.set_subnet("10.90.7.0/24");
  order.set_ssh_login_seed(std::string(32, '\x01'));
  order.set_ssh_host_seed(std::string(32, '\xff'));
  host::v1::NodeOrder& node = *order.add_nodes();
  node.set_index(1);
  node.set_incarnation(2);
  node.set_hostname("hpc-1");
  node.set_address("10.90.7.3");
  node.set_machine_id(std::string(32, 'c'));
  node.set_image("root/tiny:latest");
  host::v1::LocalNode& local = *part.add_nodes();
  local.set_index(1);
  local.set_incarnation(2);
  local.set_made(true);
  local.set_driver("kernel");
  local.set_volume("none");
  local.add_env("A=\xff");
  return part;
}

TEST(HostPart, ComesBackAsItWas) {
  const auto back = ParseHostPart(FormatHostPart(FilePart()));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->order().SerializeAsString(), FilePart().order().SerializeAsString());
  EXPECT_EQ(back->nodes(0).SerializeAsString(), FilePart().nodes(0).SerializeAsString());
}

TEST(HostPart, AFileThatIsCutShortOrOutOfRangeIsCorrupt) {
  const std::string text = FormatHostPart(FilePart());
  for (size_t size = 0; size + 2 < text.size(); size += 7) {
    EXPECT_EQ(ParseHostPart(text.substr(0, size)).error().code(), Code::kCorrupt) << size;
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << text;
    return changed.replace(at, from.size(), to);
  };
  for (const std::string& changed :
       {with("\"cluster\": \"hpc\"", "\"cluster\": \"../x\""), with("\"none\"", "\"what\""),
        with("10.90.7.0/24", "10.0.0.0/8"), with("\"version\": 2", "\"version\": 3"),
        with("\"owner_uid\": 1000", "\"owner_uid\": \"x\""), with("\"number\": 7", "\"number\": 0"),
        with("10.90.7.3", "10.91.7.3"), with("\"kernel\"", "\"other\""), with("cccc", "cccx")}) {
    EXPECT_EQ(ParseHostPart(changed).error().code(), Code::kCorrupt) << changed;
  }
}

TEST(OwnerIds, EveryOwnerKeepsHisRangeAndNoTwoShareOne) {
  const auto dir = TemporaryDirectory::Create("/tmp", "strata-owners.");
  const std::string path = dir->path() + "/owners.json";
  uint32_t alice = 0;
  {
    auto ids = OwnerIds::Load(path, 1'000'000);
    ASSERT_TRUE(ids.ok());
    alice = ids->RangeOf(5).value();
    EXPECT_GE(ids->RangeOf(6).value(), alice + kIdCount);
  }
  auto again = OwnerIds::Load(path, 1'000'000);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->RangeOf(5).value(), alice);
  EXPECT_NE(again->RangeOf(7).value(), alice);
  ASSERT_TRUE(WriteFileAtomically(path, "{").ok());
  EXPECT_EQ(OwnerIds::Load(path, 1'000'000).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace strata::vcluster
