// A real etcd (Debian's etcd-server) of one member on free ports of this machine, with its data in
// a temporary directory. Killed when it goes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/file_io.h"
#include "common/records/etcd/etcd_record_store.h"
#include "common/subprocess.h"
#include "tests/unit/common/free_port.h"

namespace strata::records {

class EtcdServer {
 public:
  // `tls`: more arguments, with which clients have to use TLS; none: they do without.
  explicit EtcdServer(std::vector<std::string> tls = {})
      : tls_(std::move(tls)),
        directory_(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-etcd."))),
        client_port_(FreePort()),
        peer_port_(FreePort()) {
    Start();
  }
  ~EtcdServer() { Kill(); }

  void Start() {
    const std::string client = (tls_.empty() ? "http" : "https") + std::string("://127.0.0.1:") +
                               std::to_string(client_port_);
    const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
    auto log = Open(directory_.path() + "/log", O_WRONLY | O_CREAT | O_APPEND, 0644);
    ASSERT_TRUE(log.ok()) << log.error().message();
    SubprocessOptions options;
    options.argv = {"etcd",
                    "--name=test",
                    "--data-dir=" + directory_.path() + "/data",
                    "--listen-client-urls=" + client,
                    "--advertise-client-urls=" + client,
                    "--listen-peer-urls=" + peer,
                    "--initial-advertise-peer-urls=" + peer,
                    "--initial-cluster=test=" + peer,
                    "--heartbeat-interval=20",
                    "--election-timeout=200"};
    options.argv.insert(options.argv.end(), tls_.begin(), tls_.end());
    options.stdout_fd = log->get();
    options.stderr_fd = log->get();
    // A test stops it. An orphaned process group with a stopped member gets a SIGHUP (setpgid(2)),
    // and all tests of one ctest are of one group.
    options.new_session = true;
    auto started = Subprocess::Start(options);
    ASSERT_TRUE(started.ok()) << started.error().message() << ": apt-get install etcd-server";
    process_.emplace(std::move(*started));
  }
  // As a power cut would, for this process.
  void Kill() {
    if (!process_) return;
    process_->Kill(SIGKILL);
    EXPECT_TRUE(process_->Wait().ok());
    process_.reset();
  }
  // From the next start on; who knows the port of before does not find it.
  void MoveTo(int client_port) { client_port_ = client_port; }
  int client_port() const { return client_port_; }
  // After SIGSTOP none of its threads runs any more.
  void Signal(int signal) {
    process_->Kill(signal);
    if (signal != SIGSTOP) return;
    siginfo_t stopped;
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(process_->pid()), &stopped, WSTOPPED), 0);
  }
  void LoseEverything() {
    Kill();
    EXPECT_TRUE(RemoveTree(directory_.path() + "/data").ok());
  }

  // Its data as it is now: Restore puts it back. Both end the server; it is to be started again.
  void Save() {
    Kill();
    std::filesystem::copy(directory_.path() + "/data", directory_.path() + "/saved",
                          std::filesystem::copy_options::recursive);
  }
  void Restore() {
    LoseEverything();
    std::filesystem::rename(directory_.path() + "/saved", directory_.path() + "/data");
  }

  EtcdOptions OptionsFor(std::vector<Table> tables, const std::string& host,
                         const std::string& prefix = "/test") const {
    EtcdOptions options;
    options.location.endpoints = {"127.0.0.1:" + std::to_string(client_port_)};
    options.location.prefix = prefix;
    options.location.answer_max = std::chrono::seconds(10);
    options.tables = std::move(tables);
    options.host = host;
    options.remedies = {"give every host a --peer-name of its own",
                        "start once with --accept-older-catalog"};
    return options;
  }

 private:
  const std::vector<std::string> tls_;
  const TemporaryDirectory directory_;
  int client_port_;
  const int peer_port_;
  std::optional<Subprocess> process_;
};

}  // namespace strata::records
