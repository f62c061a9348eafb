// Real containers on the real kernel; only the root is a plain overlay instead of layerfs's.
#include "vclusterd/runtime/node_runtime.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <sstream>
#include <thread>

#include "common/digest.h"
#include "common/file_io.h"
#include "net/apply.h"
#include "net/plan.h"
#include "tests/unit/vclusterd/busybox_root.h"
#include "vclusterd/runtime/apparmor.h"
#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/io_devices.h"
#include "vclusterd/runtime/node_config.h"
#include "vclusterd/runtime/node_files.h"
#include "vclusterd/runtime/node_terminal.h"

namespace strata::vcluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Whether a mount of the host has to do with `path` (others come and go on a busy machine).
bool IsMountedAnywhere(const std::string& path) {
  return ReadFile("/proc/self/mountinfo")->find(path) != std::string::npos;
}

// Whether it is not left to hardware.
bool FillsInChecksums(const NodeRecord& record, const char* link) {
  const UniqueFd init = OpenProcess(record.init).value();
  ethtool_value left = {.cmd = ETHTOOL_GTXCSUM, .data = 2};
  std::thread([&] {
    if (::setns(init.get(), CLONE_NEWNET) != 0) return;
    const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = {};
    std::strncpy(request.ifr_name, link, sizeof(request.ifr_name) - 1);
    request.ifr_data = reinterpret_cast<char*>(&left);
    (void)::ioctl(fd.get(), SIOCETHTOOL, &request);
  }).join();
  EXPECT_LT(left.data, 2u) << "it is not known";
  return left.data == 0;
}

class NodeRuntimeTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kIdFirst = 2'000'000;

  void SetUp() override {
    dir_ = std::make_unique<TemporaryDirectory>(
        TemporaryDirectory::Create("/tmp", "strata-runtime.").value());
    ASSERT_EQ(::chmod(path().c_str(), 0755), 0);
    ASSERT_TRUE(MakeDirectories(path() + "/run").ok());
    ASSERT_TRUE(MakeBusyboxTree(path() + "/lower", kIdFirst).ok());
    HostLayout host;
    host.run_dir = path() + "/run";
    host.instance = Hasher::Of(path()).Hex().substr(0, net::kInstanceDigits);
    host.node_binary = std::string(STRATA_BIN_DIR) + "/strata-node";
    host.vinit = std::string(STRATA_BIN_DIR) + "/vinit";
    host.command = std::string(STRATA_BIN_DIR) + "/strata-in-node";
    host.unified_cgroups = HasUnifiedCgroups();
    const auto profile = LoadNodeProfile(host.run_dir);
    ASSERT_TRUE(profile.ok()) << profile.error().message();
    host.apparmor_profile = *profile;
    auto runtime = NodeRuntime::Create(host);
    ASSERT_TRUE(runtime.ok()) << runtime.error().message();
    runtime_ = std::make_unique<NodeRuntime>(std::move(*runtime));
    network_ = {host.instance, net::Ipv4Prefix::Parse("10.213.0.0/16").value(), {}, {}};
    network_.pool6 = net::Pool6For(path());
    network_.bridges = {net::MakeBridge(
        host.instance, 1, net::Ipv4Prefix::Parse("10.213.1.0/24").value(), network_.pool6)};
    for (uint32_t i = 0; i < 3; ++i)
      network_.veths.push_back(net::MakeVeth(host.instance, 1, i, 0));
    ApplyNetwork();
  }

  void TearDown() override {
    for (const std::string& id : started_) {
      auto record = runtime_->Find(id);
      ASSERT_TRUE(record.ok()) << record.error().message();
      Status stopped = runtime_->Stop(id, *record, seconds(2));
      EXPECT_TRUE(stopped.ok()) << stopped.error().message();
      EXPECT_FALSE(PathExists(runtime_->host().NodeDir(id)));
      for (const char* hierarchy : {"freezer", "memory", "pids", "cpu"}) {
        EXPECT_FALSE(PathExists(std::string("/sys/fs/cgroup/") + hierarchy + "/lxc.payload." +
                                runtime_->host().ContainerName(id)));
      }
    }
    network_.bridges.clear();
    network_.veths.clear();
    ApplyNetwork();
    const auto links = net::ObserveLinks();
    for (const net::ObservedLink& link : *links) {
      EXPECT_FALSE(link.name.starts_with("s" + network_.instance)) << link.name;
    }
    EXPECT_FALSE(IsMountedAnywhere(path()));
  }

  void ApplyNetwork() {
    const auto plan = net::MakePlan(network_, net::ObserveLinks().value());
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    const auto applied = net::ApplyPlan(*plan, &rules_);
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }

  NodeSpec Spec(uint32_t index) {
    NodeSpec spec;
    spec.id = "1-" + std::to_string(index);
    spec.prefix = network_.bridges[0].prefix;
    spec.gateway = network_.bridges[0].gateway();
    for (uint32_t i = 0; i < 3; ++i) {
      const net::Ipv4 address = spec.prefix.Host(net::kFirstNodeHost + i);
      spec.peers.push_back(
          {"t-" + std::to_string(i), {}, address, network_.bridges[0].Address6Of(address)});
    }
    spec.self = spec.peers[index];
    spec.mac = net::MacForNode(1, spec.self.address);
    spec.bridge = network_.bridges[0].name;
    spec.veth = net::VethName(network_.instance, 1, index);
    spec.id_first = kIdFirst;
    spec.machine_id = std::string(32, 'a');
    spec.ssh = {std::string(32, 'l'), std::string(32, 'h')};
    return spec;
  }

  Result<NodeRecord> Start(const NodeSpec& spec) {
    const std::string volume = path() + "/volume-" + spec.id;
    RETURN_IF_ERROR(MakeDirectories(volume));
    ASSIGN_OR_RETURN(UniqueFd root, MountBusyboxRoot(path() + "/lower", volume, kIdFirst));
    started_.push_back(spec.id);
    return runtime_->Start(spec, std::move(root));
  }

  struct Output {
    int code = -1;
    std::string text;
  };
  Output Exec(const std::string& id, std::vector<std::string> argv, uid_t uid = 0) {
    const std::string out_path = path() + "/out";
    UniqueFd out = Open(out_path, O_RDWR | O_CREAT | O_TRUNC, 0600).value();
    ExecNodeRequest request;
    request.argv = std::move(argv);
    request.env = NodeEnvironment({}, {});
    request.uid = request.gid = uid;
    auto process = runtime_->Exec(id, request, -1, out.get(), out.get());
    EXPECT_TRUE(process.ok());
    Output output;
    output.code = process->WaitFor(seconds(60)).value();
    output.text = ReadFile(out_path).value();
    return output;
  }

  const std::string& path() const { return dir_->path(); }

  std::unique_ptr<TemporaryDirectory> dir_;
  std::unique_ptr<NodeRuntime> runtime_;
  net::DesiredNetwork network_;
  net::RulesInForce rules_;
  std::vector<std::string> started_;
};

TEST_F(NodeRuntimeTest, RunsCommandsAsProcessesOfTheNodeWithItsNamesAndItsExitCodes) {
  auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok()) << record.error().message();
  EXPECT_EQ(Exec("1-0", {"hostname"}).text, "t-0\n");
  EXPECT_EQ(Exec("1-0", {"sh", "-c", "exit 42"}).code, 42);
  EXPECT_EQ(Exec("1-0", {"sh", "-c", "kill -9 $$"}).code, 137);
  EXPECT_EQ(Exec("1-0", {"no-such-program"}).code, 127);
  EXPECT_EQ(Exec("1-0", {"sh", "-c", "echo $HOME; pwd; id -u"}, 1000).text, "/tmp\n/tmp\n1000\n");
  EXPECT_NE(Exec("1-0", {"cat", "/etc/hosts"}).text.find("10.213.1.3 t-1"), std::string::npos);
}

TEST_F(NodeRuntimeTest, NodesReachEachOtherByIpv6AndTheirNamesMeanIpv4First) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  ASSERT_TRUE(Start(Spec(1)).ok());
  const std::string other = Spec(1).self.address6->ToString();
  const std::string own = Spec(0).self.address6->ToString();
  // It is there from the first moment.
  const Output addresses = Exec("1-0", {"ip", "-6", "addr", "show", "dev", "eth0"});
  EXPECT_NE(addresses.text.find(own + "/64 scope global"), std::string::npos) << addresses.text;
  EXPECT_EQ(addresses.text.find("tentative scope global"), std::string::npos) << addresses.text;
  const Output ping = Exec("1-0", {"ping", "-6", "-c", "1", "-W", "5", other});
  EXPECT_EQ(ping.code, 0) << ping.text;
  const std::string gateway = network_.bridges[0].gateway6().ToString();
  const Output route = Exec("1-0", {"ip", "-6", "route"});
  EXPECT_NE(route.text.find("default via " + gateway), std::string::npos) << route.text;
  EXPECT_EQ(Exec("1-0", {"ping", "-c", "1", "-W", "5", "t-1"}).text.find("PING t-1 (10.213.1.3)"),
            0u);
  const std::string hosts = Exec("1-0", {"cat", "/etc/hosts"}).text;
  EXPECT_NE(hosts.find("10.213.1.3 t-1\n" + other + " t-1\n"), std::string::npos) << hosts;
}

TEST_F(NodeRuntimeTest, ANodeFillsInChecksumsWhereNobodyElseDoes) {
  for (const uint32_t index : {0u, 1u}) {
    NodeSpec spec = Spec(index);
    spec.fills_in_checksums = index == 1;
    const auto record = Start(spec);
    ASSERT_TRUE(record.ok()) << record.error().message();
    EXPECT_EQ(FillsInChecksums(*record, "eth0"), spec.fills_in_checksums);
  }
}

TEST_F(NodeRuntimeTest, IsUnprivilegedOnTheHost) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok()) << record.error().message();
  const std::string status =
      ReadFile("/proc/" + std::to_string(record->init.pid) + "/status").value();
  EXPECT_NE(status.find("Uid:\t2000000\t"), std::string::npos);
  EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
}

TEST_F(NodeRuntimeTest, WhatTheHostBindsIntoANodeStaysReadOnlyForItsRoot) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  for (const char* path : {"/etc/hosts", "/dev/.strata", "/dev/.strata/strata", "/dev/.vinit"}) {
    const Output remount = Exec("1-0", {"mount", "-o", "remount,bind,rw", path});
    EXPECT_NE(remount.code, 0) << path << remount.text;
  }
  EXPECT_NE(Exec("1-0", {"sh", "-c", "echo 6.6.6.6 evil >> /etc/hosts"}).code, 0);
  // Its key is for its root to read all the same.
  EXPECT_EQ(Exec("1-0", {"cat", "/dev/.strata/login_key"}).code, 0);
}

TEST_F(NodeRuntimeTest, ANodeCannotMakeCgroupsThatCountAgainstItsHost) {
  if (HasUnifiedCgroups()) GTEST_SKIP() << "cgroup v2 limits them by number";
  ASSERT_TRUE(Start(Spec(0)).ok());
  EXPECT_NE(Exec("1-0", {"mount", "-t", "cgroup", "-o", "memory", "none", "/tmp"}).code, 0);
}

TEST_F(NodeRuntimeTest, CommandsHaveNoMoreRightsThanProcess1) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok());
  const auto lines = [](const std::string& status) {
    std::string found;
    for (const char* name : {"CapBnd:", "Seccomp:", "NoNewPrivs:"}) {
      const size_t at = status.find(name);
      found += status.substr(at, status.find('\n', at) - at) + "\n";
    }
    return found;
  };
  const std::string init =
      lines(ReadFile("/proc/" + std::to_string(record->init.pid) + "/status").value());
  EXPECT_EQ(lines(Exec("1-0", {"cat", "/proc/self/status"}).text), init);
  EXPECT_NE(init.find("CapBnd:\t00000100b0acfdff\nSeccomp:\t2\nNoNewPrivs:\t0"), std::string::npos)
      << init;
}

TEST_F(NodeRuntimeTest, WhereThereIsAppArmorItConfinesNodes) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok()) << record.error().message();
  const std::string init = "/proc/" + std::to_string(record->init.pid) + "/attr/current";
  const auto reads = [&](const std::string& file) {
    return Exec("1-0", {"dd", "if=" + file, "of=/dev/null", "count=1"}).code == 0;
  };
  // Everybody may read these: nothing but the profile refuses them.
  for (const char* file : {"/proc/kallsyms", "/proc/keys", "/sys/kernel/vmcoreinfo"}) {
    if (!PathExists(file)) continue;
    EXPECT_EQ(reads(file), !HasAppArmor()) << file;
  }
  if (!HasAppArmor()) {  // As here; tests/vm/run has a kernel with it.
    const auto label = ReadFile(init);
    EXPECT_TRUE(!label.ok() || label->find("enforce") == std::string::npos) << *label;
    return;
  }
  EXPECT_EQ(ReadFile(init).value(), "strata-node (enforce)\n");
  EXPECT_EQ(Exec("1-0", {"cat", "/proc/self/attr/current"}).text, "strata-node (enforce)\n");
  EXPECT_TRUE(reads("/proc/meminfo"));
  // What nodes do all the time is not refused.
  EXPECT_EQ(Exec("1-0", {"mount", "-t", "tmpfs", "none", "/tmp"}).code, 0);
  EXPECT_EQ(Exec("1-0", {"sh", "-c", "sleep 100 & kill $!"}).code, 0);
}

TEST_F(NodeRuntimeTest, ALimitOfIoHoldsAndGoesAway) {
  // The volume of a node that has a limit: a file system on a device of its own.
  const std::string volume = path() + "/volume-1-0";
  const std::string image = path() + "/image";
  ASSERT_TRUE(MakeDirectories(volume).ok());
  ASSERT_TRUE(
      RunChecked({"dd", "if=/dev/zero", "of=" + image, "bs=1M", "count=0", "seek=128"}).ok());
  ASSERT_TRUE(RunChecked({"mkfs.ext4", "-q", image}).ok());
  ASSERT_TRUE(RunChecked({"mount", "-o", "loop", image, volume}).ok());
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok()) << record.error().message();
  const auto devices = IoDevicesOf(volume, /*own=*/true, {path()});
  ASSERT_TRUE(devices.ok()) << devices.error().message();
  const auto seconds_to_write = [&](const std::string& flush) {
    const auto start = std::chrono::steady_clock::now();
    const std::string write = "dd if=/dev/zero of=/file bs=1M count=10 " + flush;
    EXPECT_EQ(Exec("1-0", {"sh", "-c", write}).code, 0);
    EXPECT_TRUE(SyncFileSystem(volume).ok());  // By somebody else.
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  // Ten seconds, beside what it takes anyway on this machine.
  const double before = seconds_to_write("conv=fsync");
  Status limited = LimitIoOf(record->init.pid, *devices, 1u << 20);
  ASSERT_TRUE(limited.ok()) << limited.error().message();
  EXPECT_GT(seconds_to_write("conv=fsync"), before + 5);
  EXPECT_GT(seconds_to_write(""), before + 5);
  ASSERT_TRUE(LimitIoOf(record->init.pid, *devices, 0).ok());
  EXPECT_LT(seconds_to_write("conv=fsync"), before + 5);
  ASSERT_TRUE(ForgetIoLimit(*devices).ok());
  if (!HasUnifiedCgroups()) {
    // Without a device of its own the kernel would write back past the limit.
    const auto shared = IoDevicesOf(volume, /*own=*/false, {});
    EXPECT_EQ(LimitIoOf(record->init.pid, *shared, 4u << 20).error().code(), Code::kUnsupported);
  }
  ASSERT_TRUE(runtime_->Stop("1-0", *record, seconds(2)).ok());
  ASSERT_TRUE(RunChecked({"umount", volume}).ok());
}

TEST_F(NodeRuntimeTest, NodesOfOneVclusterReachEachOtherByName) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  ASSERT_TRUE(Start(Spec(1)).ok());
  const Output ping = Exec("1-0", {"ping", "-c", "1", "-W", "5", "t-1"});
  EXPECT_EQ(ping.code, 0) << ping.text;
}

TEST_F(NodeRuntimeTest, LeavesNoKeyAndNoAddressInTheUpper) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  EXPECT_EQ(Exec("1-0", {"cat", "/etc/machine-id"}).text, std::string(32, 'a') + "\n");
  const auto files =
      RunChecked({"find", path() + "/volume-1-0/upper", "-type", "f", "-size", "+0"});
  EXPECT_EQ(files.value(), "");
  // The mount points that were made are files like others, also in an image that is saved.
  struct stat st = {};
  ASSERT_EQ(::stat((path() + "/volume-1-0/upper/etc/hosts").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
  EXPECT_EQ(st.st_uid, kIdFirst);
}

TEST_F(NodeRuntimeTest, TheMountOfTheRootIsNotVisibleOnTheHost) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  EXPECT_FALSE(IsMountedAnywhere(path()));
}

TEST_F(NodeRuntimeTest, LimitsHold) {
  NodeSpec spec = Spec(0);
  spec.limits = {.cpus = 0.5, .memory_bytes = 64u << 20, .processes = 50};
  ASSERT_TRUE(Start(spec).ok());
  if (HasUnifiedCgroups()) GTEST_SKIP() << "the files below are those of cgroup v1";
  const std::string name = "/lxc.payload." + runtime_->host().ContainerName("1-0");
  const auto read = [&](const std::string& hierarchy, const std::string& file) {
    return ReadFile("/sys/fs/cgroup/" + hierarchy + name + "/" + file).value();
  };
  EXPECT_EQ(read("memory", "memory.limit_in_bytes"), "67108864\n");
  EXPECT_EQ(read("pids", "pids.max"), "50\n");
  EXPECT_EQ(read("cpu", "cpu.cfs_quota_us"), "50000\n");
  // The command itself is inside the limit, too.
  const Output forks = Exec("1-0", {"sh", "-c", "for i in $(seq 60); do sleep 9 & done; echo all"});
  EXPECT_EQ(forks.text.find("all"), std::string::npos) << forks.text;
}

TEST_F(NodeRuntimeTest, SurvivesItsStarterAndIsFoundAgain) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok());
  const auto other = NodeRuntime::Create(runtime_->host());
  const auto found = other->Find("1-0");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->init, record->init);
  ASSERT_EQ(::kill(record->init.pid, SIGKILL), 0);
  Status stopped = runtime_->Stop("1-0", *found, seconds(2));
  EXPECT_TRUE(stopped.ok()) << stopped.error().message();
  EXPECT_FALSE(other->Find("1-0")->has_value());
}

// `strata-node serve` of this process.
pid_t StarterOf(const std::string& binary) {
  const std::string begin = binary + '\0' + "serve" + '\0';
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::istringstream children(ReadFile(task.path() / "children").value_or(""));
    for (pid_t pid = 0; children >> pid;) {
      const auto command = ReadFile("/proc/" + std::to_string(pid) + "/cmdline");
      if (command.ok() && command->starts_with(begin)) return pid;
    }
  }
  return 0;
}

TEST_F(NodeRuntimeTest, AStarterThatEndedBeginsAnewAndNodesDoNotNotice) {
  const std::string& binary = runtime_->host().node_binary;
  EXPECT_EQ(StarterOf(binary), 0);
  const auto first = Start(Spec(0));
  ASSERT_TRUE(first.ok()) << first.error().message();
  const pid_t starter = StarterOf(binary);
  ASSERT_GT(starter, 0);
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, starter, 0)));
  ASSERT_EQ(::kill(starter, SIGKILL), 0);
  ASSERT_TRUE(WaitProcess(ended.get(), seconds(10)).ok());
  const auto second = Start(Spec(1));
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_NE(StarterOf(binary), starter);
  EXPECT_TRUE(NodeRuntime::IsRunning(*first));
  EXPECT_EQ(Exec("1-0", {"hostname"}).text, "t-0\n");
  EXPECT_EQ(Exec("1-1", {"hostname"}).text, "t-1\n");
}

TEST_F(NodeRuntimeTest, TheStarterEndsWithItsOwnerAndKeepsNothing) {
  ASSERT_TRUE(Start(Spec(0)).ok());
  const pid_t starter = StarterOf(runtime_->host().node_binary);
  ASSERT_GT(starter, 0);
  const std::string mounts = ReadFile("/proc/" + std::to_string(starter) + "/mountinfo").value();
  EXPECT_EQ(mounts.find(path()), std::string::npos) << "a node's root is mounted there";
  // Nothing that came with the start is still open.
  for (const auto& file :
       std::filesystem::directory_iterator("/proc/" + std::to_string(starter) + "/fd")) {
    const std::string target = std::filesystem::read_symlink(file).string();
    EXPECT_FALSE(target.find(path()) != std::string::npos || target.starts_with("/memfd:") ||
                 target == "anon_inode:[pidfd]")
        << target;
  }
  const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, starter, 0)));
  const HostLayout host = runtime_->host();
  runtime_.reset();
  EXPECT_TRUE(WaitProcess(ended.get(), seconds(10)).ok());
  runtime_ = std::make_unique<NodeRuntime>(NodeRuntime::Create(host).value());
  EXPECT_TRUE(runtime_->Find("1-0")->has_value());
}

TEST_F(NodeRuntimeTest, WhyAStartFailedIsSaidAndNothingOfItStays) {
  NodeSpec spec = Spec(0);
  spec.bridge = "s-no-bridge";
  const auto record = Start(spec);
  ASSERT_FALSE(record.ok());
  EXPECT_NE(record.error().message().find("liblxc could not start the node ("), std::string::npos)
      << record.error().message();
  EXPECT_FALSE(PathExists(runtime_->host().NodeDir("1-0")));
  EXPECT_TRUE(Start(Spec(1)).ok());
}

TEST_F(NodeRuntimeTest, ARecordOfAnEarlierLifeIsNotTakenForASuccess) {
  NodeSpec spec = Spec(0);
  const std::string dir = runtime_->host().NodeDir(spec.id);
  ASSERT_TRUE(MakeDirectories(dir).ok());
  const ProcessId self = IdentifyProcess(::getpid()).value();
  ASSERT_TRUE(WriteFileAtomically(dir + "/record", FormatRecord({self, self}), 0600).ok());
  spec.bridge = "s-no-bridge";
  EXPECT_FALSE(Start(spec).ok());
}

TEST_F(NodeRuntimeTest, ItsProcessOneHasNothingOfTheHostOpen) {
  // As it would be if whoever started vclusterd had left something open.
  const UniqueFd stray(::dup(STDERR_FILENO));
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok()) << record.error().message();
  const std::string init = "/proc/" + std::to_string(record->init.pid);
  while (PathExists(init + "/fd/" + std::to_string(kStartedFd))) std::this_thread::yield();
  // CRIU dumps a file of the node's own mounts alone.
  const std::string mounts = ReadFile(init + "/mountinfo").value();
  for (const auto& file : std::filesystem::directory_iterator(init + "/fd")) {
    EXPECT_EQ(std::filesystem::read_symlink(file).string(), "/dev/null") << file;
    const std::string info = ReadFile(init + "/fdinfo/" + file.path().filename().string()).value();
    const std::string mount = info.substr(info.find("mnt_id:\t") + 8);
    EXPECT_NE(("\n" + mounts).find("\n" + mount.substr(0, mount.find('\n')) + " "),
              std::string::npos)
        << info << mounts;
  }
}

// vclusterd was killed before it had on record that the node runs.
TEST_F(NodeRuntimeTest, WhatNobodyHasOnRecordEndsBeforeItsCommandBegins) {
  NodeSpec spec = Spec(0);
  spec.command = {"/bin/touch", "/begun"};
  const HostLayout& host = runtime_->host();
  const std::string dir = host.NodeDir(spec.id);
  SshKeyPairs keys;
  ASSERT_TRUE(WriteNodeFiles(spec, dir, keys).ok());
  const std::string volume = path() + "/volume";
  ASSERT_TRUE(MakeDirectories(volume).ok());
  UniqueFd root = MountBusyboxRoot(path() + "/lower", volume, kIdFirst).value();
  const UniqueFd request = RequestFile(Encode(MakeStartRequest(spec, host)).value()).value();
  const UniqueFd errors = Open(path() + "/errors", O_RDWR | O_CREAT, 0600).value();
  NodeStarter starter(host.node_binary, host.NeededInStarts());
  UniqueFd running;
  const auto keep = [&](pid_t init, pid_t monitor) -> Status {
    EXPECT_EQ(ReadProcessStat(init)->parent, monitor);
    running = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, init, 0)));
    // Whoever comes after vclusterd waits for the end of this.
    const UniqueFd lock = Open(dir + "/lock", O_RDWR).value();
    EXPECT_NE(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
    return Error(Code::kInternal, "killed");
  };
  const auto runs = starter.Run({request.get(), errors.get(), root.get(), {}}, keep, seconds(60));
  root.reset();
  EXPECT_EQ(runs.error().message(), "killed");
  EXPECT_TRUE(WaitProcess(running.get(), seconds(10)).ok());
  EXPECT_FALSE(PathExists(volume + "/upper/begun"));
  const auto found = runtime_->Find(spec.id);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_FALSE(found->has_value());
  ASSERT_TRUE(runtime_->Clear(spec.id).ok());
  EXPECT_FALSE(PathExists(dir));
}

TEST_F(NodeRuntimeTest, SigtermEndsAnIdleNodeAtOnceAndAStubbornOneInTime) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok());
  auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(runtime_->Stop("1-0", *record, seconds(10)).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(2));

  NodeSpec stubborn = Spec(1);
  stubborn.command = {"/bin/sh", "-c", "trap '' TERM; while true; do sleep 1; done"};
  const auto second = Start(stubborn);
  ASSERT_TRUE(second.ok());
  start = std::chrono::steady_clock::now();
  ASSERT_TRUE(runtime_->Stop("1-1", *second, milliseconds(500)).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(4));
}

TEST_F(NodeRuntimeTest, NothingRunsBetweenFreezeAndThaw) {
  NodeSpec spec = Spec(0);
  spec.command = {"/bin/sh", "-c", "while true; do echo x >> /ticks; done"};
  const auto record = Start(spec);
  ASSERT_TRUE(record.ok());
  const std::string ticks = path() + "/volume-1-0/upper/ticks";
  const auto size = [&] {
    struct stat st = {};
    ::stat(ticks.c_str(), &st);
    return st.st_size;
  };
  while (size() == 0) std::this_thread::yield();
  ASSERT_TRUE(runtime_->Freeze(*record).ok());
  const auto frozen = size();
  const auto until = std::chrono::steady_clock::now() + milliseconds(100);
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(size(), frozen);
  ASSERT_TRUE(runtime_->Thaw(*record).ok());
  while (size() == frozen) std::this_thread::yield();
  // Stopping a frozen node works, too.
  ASSERT_TRUE(runtime_->Freeze(*record).ok());
  EXPECT_TRUE(runtime_->Stop("1-0", *record, seconds(5)).ok());
}

TEST_F(NodeRuntimeTest, ATerminalIsOneOfTheNodesOwn) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok());
  auto terminal = OpenNodeTerminal(record->init.pid, kIdFirst, 40, 100);
  ASSERT_TRUE(terminal.ok()) << terminal.error().message();
  ExecNodeRequest request;
  request.argv = {"sh", "-c", "tty; stty size"};
  request.env = NodeEnvironment({}, {});
  request.terminal = true;
  const int fd = terminal->terminal.get();
  auto process = runtime_->Exec("1-0", request, fd, fd, fd);
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(process->WaitFor(seconds(20)).value(), 0);
  char text[256] = {};
  ASSERT_GT(::read(terminal->controller.get(), text, sizeof(text) - 1), 0);
  EXPECT_STREQ(text, "/dev/pts/0\r\n40 100\r\n");
}

TEST_F(NodeRuntimeTest, ACommandEndsWhenItsClientIsGone) {
  const auto record = Start(Spec(0));
  ASSERT_TRUE(record.ok());
  ExecNodeRequest request;
  request.argv = {"sleep", "1000"};
  request.env = NodeEnvironment({}, {});
  const auto count = [&] {
    const auto out = Exec("1-0", {"sh", "-c", "ps | grep -c '[s]leep 1000'"});
    return out.text;
  };
  {
    auto process = runtime_->Exec("1-0", request, -1, 2, 2);
    ASSERT_TRUE(process.ok());
    while (count() != "1\n") {
    }
  }
  while (count() != "0\n") {
  }
}

TEST_F(NodeRuntimeTest, AStartThatFailsSaysWhyAndLeavesNothing) {
  NodeSpec spec = Spec(0);
  spec.bridge = "s-no-such-br";
  const auto record = Start(spec);
  ASSERT_FALSE(record.ok());
  EXPECT_NE(record.error().message().find("s-no-such-br"), std::string::npos)
      << record.error().message();
  EXPECT_FALSE(PathExists(runtime_->host().NodeDir("1-0")));
}

}  // namespace
}  // namespace strata::vcluster
