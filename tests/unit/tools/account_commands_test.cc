// vcluster user, group, quota, token, credit, audit against the real UserService; and passwords.
#include <gmock/gmock.h>
#include <pty.h>

#include <thread>

#include "common/records/record_store.h"
#include "tests/unit/tools/fake_daemons.h"
#include "tests/unit/vclusterd/test_users.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/password.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/service/user_service.h"
#include "vclusterd/users/tables.h"

namespace strata::tools {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPassword[] = "correct horse battery";

class AccountCommandsTest : public ToolTest {
 protected:
  AccountCommandsTest()
      : store_(records::MakeMemoryRecordStore(vcluster::UserTables())), users_(*store_) {
    ServeAs(0);
  }
  // From now on the caller is this user.
  void ServeAs(uint32_t uid) {
    vcluster::UserCallsContext context;
    context.users = &*users_;
    service_ = vcluster::MakeUserService(context, rpc::Caller{uid});
    Stop();
    Serve(*service_);
  }
  ToolRun Vcluster(const std::vector<std::string>& words, const std::string& input = "") {
    return Run(VclusterMain, words, input);
  }
  bool Knows(const std::string& name, const std::string& password) {
    return users_->SignInWithPassword(name, password, "").ok();
  }

  std::unique_ptr<records::RecordStore> store_;
  vcluster::TestUsers users_;
  std::unique_ptr<grpc::Service> service_;
};

TEST_F(AccountCommandsTest, AnAccountIsMadeChangedLockedAndDeleted) {
  const ToolRun added = Vcluster(
      {"user", "add", "alice", "--real-name", "Alice Doe", "--role", "teacher", "--password-stdin"},
      std::string(kPassword) + "\n");
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_THAT(added.out, HasSubstr("Alice Doe"));
  EXPECT_TRUE(Knows("alice", kPassword));
  EXPECT_EQ(Vcluster({"user", "add", "alice"}).exit_code, kExitAlreadyExists);
  EXPECT_EQ(Vcluster({"user", "edit", "alice", "--mail", "a@example.org"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"user", "role", "alice", "user"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"user", "role", "alice", "king"}).exit_code, kExitUsage);
  EXPECT_EQ(Vcluster({"user", "lock", "alice", "--note", "left"}).exit_code, 0);
  EXPECT_FALSE(Knows("alice", kPassword));
  EXPECT_THAT(Vcluster({"user", "approve", "alice"}).err, HasSubstr("does not wait"));
  EXPECT_EQ(Vcluster({"user", "unlock", "alice"}).exit_code, 0);
  EXPECT_TRUE(Knows("alice", kPassword));
  const ToolRun shown = Vcluster({"user", "show", "alice"});
  EXPECT_THAT(shown.out, HasSubstr("a@example.org"));
  EXPECT_THAT(shown.out, HasSubstr("active"));
  EXPECT_THAT(Vcluster({"user", "list", "--json"}).out, HasSubstr("\"real_name\": \"Alice Doe\""));
  EXPECT_EQ(Vcluster({"user", "delete", "alice"}).exit_code, 0);
  const ToolRun gone = Vcluster({"user", "show", "alice"});
  EXPECT_EQ(gone.exit_code, kExitNotFound);
  EXPECT_THAT(gone.err, HasSubstr("vcluster user list"));
}

TEST_F(AccountCommandsTest, WhoWaitsIsApproved) {
  ASSERT_EQ(Vcluster({"user", "add", "carol", "--waiting"}).exit_code, 0);
  EXPECT_THAT(Vcluster({"user", "unlock", "carol"}).err, HasSubstr("vcluster user approve carol"));
  EXPECT_EQ(Vcluster({"user", "approve", "carol"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"user", "approve", "carol"}).exit_code, kExitNotNow);
}

TEST_F(AccountCommandsTest, APasswordIsSetFromStandardInput) {
  users_.Add("bob");
  const ToolRun set =
      Vcluster({"user", "passwd", "bob", "--password-stdin"}, std::string(kPassword) + "\n");
  EXPECT_EQ(set.exit_code, 0) << set.err;
  EXPECT_TRUE(Knows("bob", kPassword));
  EXPECT_EQ(Vcluster({"user", "passwd", "bob", "--password-stdin"}, "one\ntwo\n").exit_code,
            kExitUsage);
  // Without a terminal there is nobody to ask.
  EXPECT_THAT(Vcluster({"user", "passwd", "bob"}).err, HasSubstr("--password-stdin"));
}

TEST_F(AccountCommandsTest, AGroupInvitesEnrolsAndIsLeft) {
  const auto tina = users_.Add("tina", users::v1::TEACHER);
  const auto alice = users_.Add("alice");
  users_.Add("bob");
  ServeAs(tina.uid);
  ASSERT_EQ(Vcluster({"group", "add", "os", "--description", "spring"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"group", "invite", "os", "alice", "bob"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"group", "enrol", "os", "bob"}).exit_code, kExitPermissionDenied);
  ServeAs(alice.uid);
  EXPECT_EQ(Vcluster({"group", "join", "os"}).exit_code, 0);
  EXPECT_THAT(Vcluster({"group", "list"}).out, HasSubstr("member"));
  EXPECT_EQ(Vcluster({"group", "leave", "os"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"group", "leave", "os"}).exit_code, kExitNotFound);
  ServeAs(0);
  EXPECT_EQ(Vcluster({"group", "owner", "os", "--add", "bob"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"group", "owner", "os"}).exit_code, kExitUsage);
  EXPECT_EQ(Vcluster({"group", "remove", "os", "bob"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"group", "delete", "os"}).exit_code, 0);
}

TEST_F(AccountCommandsTest, ARosterMakesAccountsAndEnrols) {
  users_.Add("alice");
  ASSERT_EQ(Vcluster({"group", "add", "os"}).exit_code, 0);
  const std::string roster =
      "user,name,mail\r\nalice,Alice,\r\ndora,\"Doe, Dora\",dora@example.org\r\n";
  // A real name must not have a comma: nothing is enrolled, and what is wrong is named.
  const ToolRun wrong = Vcluster({"group", "enrol", "os", "--roster", "-"}, roster);
  EXPECT_EQ(wrong.exit_code, kExitUsage);
  EXPECT_THAT(wrong.err, HasSubstr("dora"));
  const ToolRun enrolled = Vcluster({"group", "enrol", "os", "--roster", "-"},
                                    "alice,Alice\ndora,Dora Doe,dora@example.org\n");
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
  EXPECT_THAT(enrolled.err, HasSubstr("1 accounts are new"));
  EXPECT_THAT(enrolled.out, HasSubstr("alice, dora"));
  const ToolRun again = Vcluster({"group", "enrol", "os", "--roster", "-"}, "alice\ndora\nemil\n");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("alice, dora, emil"));
  const ToolRun faulty =
      Vcluster({"group", "enrol", "os", "--roster", "-"}, "alice\nfrida,F,f@example.org,42\n");
  EXPECT_EQ(faulty.exit_code, kExitUsage);
  EXPECT_THAT(faulty.err, HasSubstr("line 2"));
  EXPECT_EQ(Vcluster({"group", "enrol", "nosuch", "--roster", "-"}, "frida\n").exit_code,
            kExitNotFound);
  EXPECT_EQ(Vcluster({"user", "show", "frida"}).exit_code, kExitNotFound) << "none was made";
}

TEST_F(AccountCommandsTest, QuotasAreSetInUnitsAndTakenAway) {
  users_.Add("alice");
  ASSERT_EQ(Vcluster({"quota", "set", "--user", "alice", "nodes=10", "cpus=1.5", "memory=16G",
                      "bandwidth=100Mbit", "bandwidth-per-host=2Gbit"})
                .exit_code,
            0);
  const std::string shown = Vcluster({"quota", "show", "--user", "alice"}).out;
  EXPECT_THAT(shown, HasSubstr("1.5"));
  EXPECT_THAT(shown, HasSubstr("16.0 GiB"));
  EXPECT_THAT(shown, HasSubstr("100Mbit"));
  EXPECT_THAT(shown, HasSubstr("2Gbit"));
  EXPECT_THAT(Vcluster({"quota", "set", "--default", "bandwidth-per-host=1kbit"}).err,
              HasSubstr("from 8kbit to 100Gbit"));
  EXPECT_THAT(Vcluster({"quota", "set", "--default", "memory"}).err, HasSubstr("memory=16G"));
  EXPECT_THAT(Vcluster({"quota", "set", "--default", "beer=1"}).err, HasSubstr("no resource"));
  EXPECT_EQ(Vcluster({"quota", "set", "nodes=1"}).exit_code, kExitUsage);
  EXPECT_EQ(Vcluster({"quota", "unset", "--user", "alice", "memory"}).exit_code, 0);
  EXPECT_THAT(Vcluster({"quota", "show", "--user", "alice"}).out, Not(HasSubstr("16.0 GiB")));
  EXPECT_EQ(Vcluster({"quota", "unset", "--user", "alice"}).exit_code, 0);
  EXPECT_THAT(Vcluster({"quota", "show", "--user", "alice"}).out, Not(HasSubstr("1.5")));
}

TEST_F(AccountCommandsTest, ATokensTextIsPrintedOnce) {
  const auto alice = users_.Add("alice");
  ServeAs(alice.uid);
  const ToolRun made = Vcluster({"token", "create", "ci", "--until", "2h"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("strata_api_"));
  const std::string listed = Vcluster({"token", "list"}).out;
  EXPECT_THAT(listed, HasSubstr("everything"));
  EXPECT_THAT(listed, Not(HasSubstr("strata_api_")));
  const auto tokens = users_->tokens().Of(alice.uid);
  ASSERT_EQ(tokens.size(), 1u);
  EXPECT_EQ(Vcluster({"token", "revoke", tokens[0]->id}).exit_code, 0);
  EXPECT_EQ(Vcluster({"token", "revoke", tokens[0]->id}).exit_code, kExitNotFound);
}

TEST_F(AccountCommandsTest, CreditsAreAskedForAndGiven) {
  const auto alice = users_.Add("alice");
  ServeAs(alice.uid);
  ASSERT_EQ(Vcluster({"credit", "apply", "12.5", "--reason", "thesis"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"credit", "grant", "alice", "5"}).exit_code, kExitPermissionDenied);
  ServeAs(0);
  EXPECT_THAT(Vcluster({"credit", "applications"}).out, HasSubstr("12.500"));
  EXPECT_EQ(Vcluster({"credit", "decide", "alice", "1", "maybe"}).exit_code, kExitUsage);
  EXPECT_EQ(Vcluster({"credit", "decide", "alice", "1", "approve"}).exit_code, 0);
  EXPECT_EQ(Vcluster({"credit", "grant", "alice", "2.5", "--take"}).exit_code, 0);
  EXPECT_THAT(Vcluster({"credit", "show", "alice"}).out, HasSubstr("alice: 10.000 credits"));
  EXPECT_THAT(Vcluster({"credit", "history", "alice"}).out, HasSubstr("-2.500"));
}

TEST_F(AccountCommandsTest, TheAuditLogIsSearched) {
  users_.Add("alice");
  ASSERT_EQ(Vcluster({"user", "lock", "alice"}).exit_code, 0);
  const std::string all = Vcluster({"audit", "--since", "1h"}).out;
  EXPECT_THAT(all, HasSubstr("user.create"));
  EXPECT_THAT(all, HasSubstr("user.lock"));
  const std::string locks = Vcluster({"audit", "--operation", "user.lock"}).out;
  EXPECT_THAT(locks, Not(HasSubstr("user.create")));
  EXPECT_EQ(Vcluster({"audit", "--since", "yesterday"}).exit_code, kExitUsage);
}

// --- Passwords ----------------------------------------------------------------------------------

// Counts what was asked: every prompt is flushed.
class Prompts : public std::stringbuf {
 public:
  std::atomic<int> asked{0};

 private:
  int sync() override {
    ++asked;
    return 0;
  }
};

TEST(TypedPassword, IsNotSeenAndHasToBeTheSameTwice) {
  int controller = -1, terminal = -1;
  ASSERT_EQ(::openpty(&controller, &terminal, nullptr, nullptr, nullptr), 0);
  const UniqueFd ours(controller), theirs(terminal);
  Prompts prompts;
  std::ostringstream out;
  std::ostream err(&prompts);
  Console console{out, err, terminal, 1, 2, false};
  const auto type = [&](const std::string& first, const std::string& second) {
    // Each line is typed when it is asked for: what was typed before is thrown away.
    std::thread typist([&, asked = prompts.asked.load()]() mutable {
      for (const std::string& line : {first, second}) {
        ++asked;
        while (prompts.asked < asked) std::this_thread::yield();
        const ssize_t n = ::write(controller, line.data(), line.size());
        EXPECT_EQ(n, static_cast<ssize_t>(line.size()));
      }
    });
    auto typed = TypeNewPassword(console);
    typist.join();
    return typed;
  };
  const auto same = type("secret words\n", "secret words\n");
  ASSERT_TRUE(same.ok()) << same.error().message();
  EXPECT_EQ(*same, "secret words");
  EXPECT_FALSE(type("secret words\n", "other words\n").ok());
  char echoed[256] = {};
  const ssize_t n = ::read(controller, echoed, sizeof(echoed) - 1);
  EXPECT_THAT(std::string(echoed, n > 0 ? static_cast<size_t>(n) : 0), Not(HasSubstr("secret")));
  EXPECT_THAT(prompts.str(), HasSubstr("New password"));
}

}  // namespace
}  // namespace strata::tools
