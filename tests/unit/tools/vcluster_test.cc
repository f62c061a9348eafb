#include "tools/vcluster/vcluster.h"

#include <poll.h>
#include <pty.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <sstream>

#include "common/subprocess.h"
#include "common/version.h"
#include "tests/unit/tools/fake_daemons.h"
#include "tools/vsave/vsave.h"

namespace strata::tools {
namespace {

class VclusterTest : public ToolTest {
 protected:
  ToolRun Vcluster(const std::vector<std::string>& words, const std::string& input = "") {
    return Run(VclusterMain, words, input);
  }

  // Answers with what it got: the input on stdout, the words on stderr, and `exit_code`.
  void Echo(int exit_code) {
    service_.on_exec = [this, exit_code](grpc::ServerContext*,
                                         FakeVclusterService::ExecStream* stream) {
      vapi::ExecRequest request;
      vapi::ExecEvent event;
      bool more = true;
      while (more && stream->Read(&request)) {
        if (request.has_start()) {
          start_ = request.start();
          event.set_stderr_data("run " + start_.argv(0));
          stream->Write(event);
        }
        if (request.has_stdin_data()) {
          event.set_stdout_data(request.stdin_data());
          stream->Write(event);
        }
        if (request.has_stdin_end()) more = false;
      }
      event.set_exit_code(exit_code);
      stream->Write(event);
      return grpc::Status::OK;
    };
    Serve(service_);
  }

  FakeVclusterService service_;
  vapi::ExecStart start_;
};

TEST_F(VclusterTest, ExecRelaysOutputErrorsAndTheExitCode) {
  Echo(42);
  const ToolRun run = Vcluster({"exec", "hpc/0", "--env", "A=1", "--workdir", "/srv", "--user",
                                "1000:100", "--", "sh", "-c", "[ -f x ]", "[a,b]", "--json"});
  EXPECT_EQ(run.exit_code, 42);
  EXPECT_EQ(run.raw_err, "run sh");
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(start_.node(), "hpc/0");
  ASSERT_EQ(start_.argv_size(), 5);
  EXPECT_EQ(start_.argv(2), "[ -f x ]");
  EXPECT_EQ(start_.argv(3), "[a,b]");
  EXPECT_EQ(start_.argv(4), "--json");
  EXPECT_EQ(start_.env(0), "A=1");
  EXPECT_EQ(start_.working_directory(), "/srv");
  EXPECT_EQ(start_.uid(), 1000u);
  EXPECT_EQ(start_.gid(), 100u);
  EXPECT_FALSE(start_.terminal());
}

vapi::Usage Using(double cpus) {
  vapi::Usage usage;
  usage.set_cpus(cpus);
  usage.set_memory_bytes(3u << 20);
  usage.set_sent_bytes_per_s(2048);
  usage.set_cpu_pressure(0.125);
  usage.set_memory_pressure(0.01);
  usage.set_io_pressure(0.5);
  return usage;
}

// The columns of the line that begins with `first`, without their spaces.
std::vector<std::string> LineOf(const std::string& table, const std::string& first) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(first)) continue;
    std::istringstream words(line);
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

bool Has(const std::vector<std::string>& line, const std::string& word) {
  return std::find(line.begin(), line.end(), word) != line.end();
}

TEST_F(VclusterTest, TopShowsThePressureOfNodes) {
  for (const double cpus : {0.25, 1.5}) {
    vapi::NodeInfo* node = service_.clusters.add_clusters()->add_nodes();
    node->set_name(cpus > 1 ? "busy/0" : "idle/0");
    *node->mutable_usage() = Using(cpus);
  }
  Serve(service_);
  const ToolRun run = Vcluster({"top"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_LT(run.out.find("busy/0"), run.out.find("idle/0")) << run.out;
  EXPECT_NE(run.out.find("CPU PSI  MEM PSI  IO PSI"), std::string::npos) << run.out;
  const auto line = LineOf(run.out, "busy/0");
  for (const char* word : {"1.50", "12.5%", "1.0%", "50.0%"}) EXPECT_TRUE(Has(line, word)) << word;
}

TEST_F(VclusterTest, TopShowsHostsAsWell) {
  for (const char* name : {"lab-1", "lab-2", "lost"}) {
    vapi::HostInfo* host = service_.hosts.add_hosts();
    host->set_name(name);
    if (host->name() == "lost") continue;
    host->set_cpus(8);
    host->set_disk_free_bytes(7u << 20);
    *host->mutable_usage() = Using(host->name() == "lab-1" ? 1 : 4);
  }
  Serve(service_);
  const ToolRun run = Vcluster({"top", "--hosts"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_LT(run.out.find("lab-2"), run.out.find("lab-1")) << run.out;
  EXPECT_EQ(run.out.find("lost"), std::string::npos) << run.out;
  const auto line = LineOf(run.out, "lab-2");
  for (const char* word : {"4.00", "8.00", "12.5%", "1.0%", "50.0%"}) {
    EXPECT_TRUE(Has(line, word)) << word << ": " << run.out;
  }
  const ToolRun one = Vcluster({"top", "lab-1", "--hosts", "--json"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_NE(one.out.find("io_pressure"), std::string::npos) << one.out;
  EXPECT_EQ(one.out.find("lab-2"), std::string::npos) << one.out;
  EXPECT_EQ(Vcluster({"top", "nowhere", "--hosts"}).exit_code, 3);
}

TEST_F(VclusterTest, TheHistoryOfNodesAndHostsHasTheirPressure) {
  vapi::UsagePoint* point = service_.history.add_points();
  point->set_unix_s(1'700'000'040);
  *point->mutable_usage() = Using(1.5);
  Serve(service_);
  const ToolRun node = Vcluster({"top", "hpc/0", "--history"});
  ASSERT_EQ(node.exit_code, 0) << node.err;
  EXPECT_EQ(service_.history_of, "node hpc/0");
  EXPECT_TRUE(Has(LineOf(node.out, "2023-11-1"), "12.5%")) << node.out;
  EXPECT_EQ(node.out.find("DISK FREE"), std::string::npos) << node.out;

  point->set_disk_free_bytes(7u << 20);
  const ToolRun host = Vcluster({"top", "lab-1", "--hosts", "--history"});
  ASSERT_EQ(host.exit_code, 0) << host.err;
  EXPECT_EQ(service_.history_of, "host lab-1");
  EXPECT_TRUE(Has(LineOf(host.out, "2023-11-1"), "50.0%")) << host.out;
  EXPECT_NE(host.out.find("DISK FREE"), std::string::npos) << host.out;
  const ToolRun json = Vcluster({"top", "lab-1", "--hosts", "--history", "--json"});
  for (const char* member : {"cpu_pressure", "memory_pressure", "io_pressure", "disk_free_bytes"}) {
    EXPECT_NE(json.out.find(member), std::string::npos) << json.out;
  }
  EXPECT_EQ(Vcluster({"top", "--hosts", "--history"}).exit_code, 2) << "of which?";
}

TEST_F(VclusterTest, ItSaysItsVersionWithoutADaemon) {
  const ToolRun run = Vcluster({"--version"});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "vcluster " + Version() + "\n");
  EXPECT_FALSE(Version().empty());
}

TEST_F(VclusterTest, ExecPassesInputOnOnlyWhenAsked) {
  Echo(0);
  const std::string input(300'000, 'i');
  EXPECT_EQ(Vcluster({"exec", "-i", "hpc/0", "--", "cat"}, input).raw_out, input);
  EXPECT_EQ(Vcluster({"exec", "hpc/0", "--", "cat"}, input).raw_out, "");
}

TEST_F(VclusterTest, AnExecThatCouldNotBeRunExitsWith125) {
  service_.on_exec = [](grpc::ServerContext*, FakeVclusterService::ExecStream*) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "node hpc/0 is stopped: start it");
  };
  Serve(service_);
  const ToolRun run = Vcluster({"exec", "hpc/0", "--", "true"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_EQ(run.err, "vcluster: node hpc/0 is stopped: start it\n");
  EXPECT_EQ(Vcluster({"exec", "hpc/0"}).exit_code, 125);
  EXPECT_EQ(Vcluster({"exec", "-t", "hpc/0", "--", "sh"}).exit_code, 125) << "input is no terminal";
}

TEST_F(VclusterTest, CreateSendsItsLimitsAndPrintsTheNodes) {
  vapi::CreateRequest sent;
  service_.on_create = [&](const vapi::CreateRequest& request,
                           grpc::ServerWriter<vapi::ClustersEvent>* writer) {
    sent = request;
    vapi::ClustersEvent event;
    event.mutable_progress()->set_stage("start");
    writer->Write(event);
    vapi::NodeInfo* node = event.mutable_result()->add_clusters()->add_nodes();
    node->set_name("hpc/0");
    node->set_state(vapi::BREAKDOWN);
    node->set_problem("no memory\033[2J");
    writer->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run = Vcluster(
      {"create", "hpc", "--image", "debian", "--nodes", "3", "--cpus", "1.5", "--memory", "512M"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(sent.nodes(), 3u);
  EXPECT_EQ(sent.limits().cpus(), 1.5);
  EXPECT_EQ(sent.limits().memory_bytes(), 512u << 20);
  EXPECT_NE(run.out.find("hpc/0  breakdown"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("no memory"), std::string::npos);
  EXPECT_EQ(run.out.find('\033'), std::string::npos);
  EXPECT_EQ(Vcluster({"create", "hpc", "--image", "debian", "--memory", "lots"}).exit_code, 2);
}

TEST_F(VclusterTest, VsavePrintsTheDiffAndTheStall) {
  service_.on_save = [](const vapi::SaveRequest& request,
                        grpc::ServerWriter<vapi::SaveEvent>* writer) {
    EXPECT_TRUE(request.public_());
    vapi::SaveEvent event;
    vapi::SaveResult* result = event.mutable_result();
    result->set_reference("root/tools:latest");
    result->set_layer_bytes(3 << 20);
    result->set_new_bytes(1 << 20);
    result->set_stall_ms(4.2);
    writer->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run = Run(VsaveMain, {"hpc/0", "tools", "--public"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("diff 3.0 MiB, 1.0 MiB of it new"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("stood still for 4.2 ms"), std::string::npos) << run.out;
}

TEST_F(VclusterTest, VsaveShowsWhatBecameOfSecrets) {
  vapi::SaveRequest sent;
  service_.on_save = [&sent](const vapi::SaveRequest& request,
                             grpc::ServerWriter<vapi::SaveEvent>* writer) {
    sent = request;
    vapi::SaveEvent event;
    for (const char* path : {"root/.netrc", "root/.pgpass\033[2J"}) {
      vapi::ScrubbedSecret* secret = event.mutable_result()->add_scrubbed();
      secret->set_path(path);
      secret->set_category("credential");
      secret->set_action("removed");
      secret->set_reason("holds passwords");
    }
    event.mutable_result()->set_scrubbed_count(5);
    writer->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run = Run(VsaveMain, {"hpc/0", "tools", "--scrub"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(sent.scrub(), vapi::SCRUB_ALWAYS);
  EXPECT_NE(run.out.find("secrets: 2 credential removed\n"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("/root/.netrc"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("credential  removed  holds passwords\n"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("and 3 more\n"), std::string::npos) << run.out;
  EXPECT_EQ(run.out.find('\033'), std::string::npos);
  const ToolRun json = Run(VsaveMain, {"hpc/0", "tools", "--public", "--json"});
  EXPECT_EQ(sent.scrub(), vapi::SCRUB_DEFAULT);
  EXPECT_NE(json.out.find("\"category\": \"credential\""), std::string::npos) << json.out;
  EXPECT_EQ(Run(VsaveMain, {"hpc/0", "tools", "--public", "--keep-secrets"}).exit_code, 0);
  EXPECT_EQ(sent.scrub(), vapi::SCRUB_NEVER);
  EXPECT_EQ(Run(VsaveMain, {"hpc/0", "tools", "--scrub", "--keep-secrets"}).exit_code, 2);
}

// The real program on a pseudo-terminal.
class TerminalTest : public VclusterTest {
 protected:
  void SetUp() override {
    int controller = -1;
    int terminal = -1;
    const winsize size = {40, 120, 0, 0};
    ASSERT_EQ(::openpty(&controller, &terminal, nullptr, nullptr, &size), 0);
    controller_.reset(controller);
    terminal_.reset(terminal);
    ASSERT_EQ(::tcgetattr(terminal, &before_), 0);
  }

  Result<Subprocess> Start() {
    SubprocessOptions options;
    options.argv = {STRATA_VCLUSTER, "exec", "-t", "hpc/0", "--socket", socket(), "--", "sh"};
    options.stdin_fd = terminal_.get();
    options.stdout_fd = terminal_.get();
    return Subprocess::Start(options);
  }

  bool IsRaw() const {
    termios now = {};
    EXPECT_EQ(::tcgetattr(terminal_.get(), &now), 0);
    return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }

  void ExpectRestored() const {
    termios now = {};
    ASSERT_EQ(::tcgetattr(terminal_.get(), &now), 0);
    EXPECT_EQ(now.c_lflag, before_.c_lflag);
    EXPECT_EQ(now.c_iflag, before_.c_iflag);
    EXPECT_EQ(now.c_oflag, before_.c_oflag);
  }

  UniqueFd controller_;
  UniqueFd terminal_;
  termios before_ = {};
};

TEST_F(TerminalTest, KeysGoRawToTheNodeAndTheTerminalIsRestored) {
  std::promise<void> begun;
  std::string typed;
  service_.on_exec = [&](grpc::ServerContext*, FakeVclusterService::ExecStream* stream) {
    vapi::ExecRequest request;
    stream->Read(&request);
    start_ = request.start();
    begun.set_value();
    while (typed.find('q') == std::string::npos && stream->Read(&request)) {
      typed += request.stdin_data();
    }
    vapi::ExecEvent event;
    event.set_exit_code(7);
    stream->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  auto process = Start();
  ASSERT_TRUE(process.ok());
  begun.get_future().wait();
  EXPECT_TRUE(IsRaw());
  ASSERT_TRUE(WriteAll(controller_.get(),
                       "\x03"
                       "q")
                  .ok());  // Ctrl-C is a key like any other.
  const auto exit_code = process->WaitFor(std::chrono::seconds(20));
  ASSERT_TRUE(exit_code.ok());
  EXPECT_EQ(*exit_code, 7);
  EXPECT_EQ(typed,
            "\x03"
            "q");
  EXPECT_EQ(start_.rows(), 40u);
  EXPECT_EQ(start_.columns(), 120u);
  ExpectRestored();
}

TEST_F(TerminalTest, ATerminatedExecCancelsAndRestoresTheTerminal) {
  std::promise<void> begun;
  service_.on_exec = [&](grpc::ServerContext*, FakeVclusterService::ExecStream* stream) {
    vapi::ExecRequest request;
    stream->Read(&request);
    begun.set_value();
    while (stream->Read(&request)) {
    }
    return grpc::Status::CANCELLED;
  };
  Serve(service_);
  auto process = Start();
  ASSERT_TRUE(process.ok());
  begun.get_future().wait();
  process->Kill(SIGTERM);
  const auto exit_code = process->WaitFor(std::chrono::seconds(20));
  ASSERT_TRUE(exit_code.ok());
  EXPECT_EQ(*exit_code, 130);
  ExpectRestored();
}

TEST_F(TerminalTest, ANewWindowSizeIsToldToTheNode) {
  std::promise<void> begun;
  vapi::WindowSize resized;
  service_.on_exec = [&](grpc::ServerContext*, FakeVclusterService::ExecStream* stream) {
    vapi::ExecRequest request;
    stream->Read(&request);
    begun.set_value();
    while (stream->Read(&request) && !request.has_resize()) {
    }
    resized = request.resize();
    vapi::ExecEvent event;
    event.set_exit_code(0);
    stream->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  auto process = Start();
  ASSERT_TRUE(process.ok());
  begun.get_future().wait();
  const winsize size = {50, 200, 0, 0};
  ASSERT_EQ(::ioctl(terminal_.get(), TIOCSWINSZ, &size), 0);
  process->Kill(SIGWINCH);  // The terminal is not its controlling one here.
  const auto exit_code = process->WaitFor(std::chrono::seconds(20));
  ASSERT_TRUE(exit_code.ok());
  EXPECT_EQ(resized.rows(), 50u);
  EXPECT_EQ(resized.columns(), 200u);
}

}  // namespace
}  // namespace strata::tools
