// The host's PAM, with services of the test's own: who is taken, who is refused, and what happens
// when it is broken or slow. A script stands for a module that knows passwords.
#include "vclusterd/users/pam_check.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <thread>
#include <vector>

#include "common/file_io.h"
#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;

constexpr char kProgram[] = STRATA_BIN_DIR "/strata-pam-check";

class PamCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-pam.")));
    // Whose exit code pam_exec makes an error of the system.
    const std::string script = directory_->path() + "/script";
    ASSERT_TRUE(WriteFileAtomically(script,
                                    "#!/bin/sh\n"
                                    "password=$(tr -d '\\000')\n"
                                    "echo \"$PAM_USER $PAM_RHOST $#\" >>" +
                                        directory_->path() +
                                        "/asked\n"
                                        "[ \"$PAM_USER $password\" = 'alice of the host' ]\n",
                                    0755)
                    .ok());
    Service("knows", "auth [success=done default=ignore] pam_exec.so expose_authtok quiet " +
                         script + "\nauth required pam_deny.so" +
                         "\naccount required pam_permit.so\n");
    Service("permits", "auth required pam_permit.so\naccount required pam_permit.so\n");
    Service("denies", "auth required pam_deny.so\naccount required pam_permit.so\n");
    Service("locked-out", "auth required pam_permit.so\naccount required pam_deny.so\n");
    Service("broken", "auth required pam_no_such_module.so\naccount required pam_permit.so\n");
  }
  void Service(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(directory_->path() + "/" + name, text).ok());
  }
  HostPasswordOptions Options(const std::string& service) {
    HostPasswordOptions options;
    options.program = kProgram;
    options.service = service;
    options.config_directory = directory_->path();
    return options;
  }
  // "yes", "no", or the error.
  std::string Ask(const std::string& service, const std::string& name,
                  const std::string& password) {
    HostPasswords host(Options(service));
    const auto takes = host.Takes(name, password, "192.0.2.1");
    if (!takes.ok()) return takes.error().message();
    return *takes ? "yes" : "no";
  }

  std::optional<TemporaryDirectory> directory_;
};

TEST_F(PamCheckTest, TheRightPasswordIsTakenAndOthersAreNot) {
  EXPECT_EQ(Ask("knows", "alice", "of the host"), "yes");
  EXPECT_EQ(Ask("knows", "alice", "wrong"), "no");
  EXPECT_EQ(Ask("knows", "bob", "of the host"), "no");
  EXPECT_EQ(Ask("knows", "alice", ""), "no");
  const auto asked = ReadFile(directory_->path() + "/asked");
  ASSERT_TRUE(asked.ok());
  EXPECT_THAT(*asked, HasSubstr("alice 192.0.2.1 0\n")) << "PAM hears where he comes from";
}

TEST_F(PamCheckTest, NamesAndPasswordsAreBytesAndNotFieldsOrCommands) {
  EXPECT_EQ(Ask("knows", "alice", "of the host\n"), "yes")
      << "the script's shell drops the line's end";
  EXPECT_EQ(Ask("knows", "alice", std::string("x\0of the host", 13)), "no");
  EXPECT_EQ(Ask("permits", std::string("alice\0x", 7), "x"), "no");
  EXPECT_EQ(Ask("knows", "alice", "$(true)\" = \"\" ] || [ x"), "no");
  EXPECT_EQ(Ask("knows", "alice", std::string(100'000, 'a')), "no");
}

TEST_F(PamCheckTest, ModulesDecide) {
  EXPECT_EQ(Ask("permits", "alice", "anything"), "yes");
  EXPECT_EQ(Ask("denies", "alice", "anything"), "no");
  EXPECT_THAT(Ask("locked-out", "alice", "anything"), HasSubstr("does not let you in"));
}

TEST_F(PamCheckTest, ABrokenPamIsUnavailableAndNotARefusal) {
  HostPasswords broken(Options("broken"));
  EXPECT_EQ(CodeOf(broken.Takes("alice", "x", "")), Code::kUnavailable);
  HostPasswordOptions options = Options("permits");
  options.program = "/no/such/program";
  HostPasswords missing(options);
  EXPECT_EQ(CodeOf(missing.Takes("alice", "x", "")), Code::kUnavailable);
}

TEST_F(PamCheckTest, AServiceThatIsNotThereLetsNobodyIn) {
  HostPasswords host(Options("no-such-service"));
  const auto takes = host.Takes("alice", "x", "");
  EXPECT_TRUE(!takes.ok() || !*takes);
}

TEST_F(PamCheckTest, AModuleThatHangsIsGivenUp) {
  const std::string fifo = directory_->path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  // The script reads until this end is closed.
  const auto end = strata::Open(fifo, O_RDWR);
  ASSERT_TRUE(end.ok());
  const std::string script = directory_->path() + "/script";
  ASSERT_TRUE(WriteFileAtomically(script, "#!/bin/sh\nexec cat " + fifo + "\n", 0755).ok());
  Service("hangs", "auth required pam_exec.so quiet " + script + "\n");
  HostPasswordOptions options = Options("hangs");
  options.timeout = std::chrono::milliseconds(300);
  HostPasswords host(options);
  EXPECT_EQ(CodeOf(host.Takes("alice", "x", "")), Code::kUnavailable);
}

TEST_F(PamCheckTest, ManyThreadsAskAtOnce) {
  HostPasswordOptions options = Options("knows");
  options.at_once = 3;
  HostPasswords host(options);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto takes = host.Takes("alice", "of the host", "192.0.2.1");
      EXPECT_TRUE(takes.ok() && *takes);
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace strata::vcluster
