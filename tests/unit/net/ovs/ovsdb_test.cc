// OVSDB's protocol against a server that says what a test wants.
#include "net/ovs/ovsdb.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "common/log.h"
#include "net/ovs/switch_state.h"

namespace strata::net {
namespace {

using std::chrono::milliseconds;

// Answers are there before the question is.
class FakeServer {
 public:
  explicit FakeServer(const std::string& answers) {
    int ends[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    CHECK(::send(ours_.get(), answers.data(), answers.size(), 0) ==
          static_cast<ssize_t>(answers.size()));
  }
  OvsdbClient Connect() { return {UnixStream(std::move(theirs_), "fake"), milliseconds(200)}; }
  void HangUp() { ours_.reset(); }
  std::string Heard() {
    std::string bytes(65536, '\0');
    const ssize_t size = ::recv(ours_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return bytes;
  }

 private:
  UniqueFd ours_;
  UniqueFd theirs_;
};

const Json kSelect = {{"op", "select"}, {"table", "Bridge"}, {"where", Json::array()}};

Code TransactCode(const std::string& answer) {
  FakeServer server(answer);
  const auto results = server.Connect().Transact({kSelect});
  return results.ok() ? Code::kAlreadyExists : results.error().code();
}

TEST(Ovsdb, AsksAsRfc7047SaysAndTakesTheAnswerToItsQuestion) {
  FakeServer server(
      R"({"method":"update","params":[],"id":null} {"id":"echo","method":"echo","params":["x"]})"
      R"({"id":7,"result":[],"error":null}
         {"id":1,"error":null,"result":[{"rows":[{"name":"br}\"{"}]}]})");
  const auto results = server.Connect().Transact({kSelect});
  ASSERT_TRUE(results.ok()) << results.error().message();
  EXPECT_EQ((*results)[0]["rows"][0]["name"], "br}\"{");
  JsonStream heard(65536);
  heard.Push(server.Heard());
  EXPECT_EQ(
      Json::parse(heard.Next().value().value()),
      Json::parse(
          R"({"id":1,"method":"transact","params":["Open_vSwitch",{"op":"select","table":"Bridge",
              "where":[]}]})"));
  EXPECT_EQ(Json::parse(heard.Next().value().value()),
            Json::parse(R"({"id":"echo","result":["x"],"error":null})"));
}

TEST(Ovsdb, SaysWhatIsWrongWithAnAnswer) {
  EXPECT_EQ(TransactCode(""), Code::kDeadlineExceeded);
  EXPECT_EQ(TransactCode("nonsense"), Code::kInvalidArgument);
  EXPECT_EQ(TransactCode("[]"), Code::kInvalidArgument);
  EXPECT_EQ(TransactCode("{]"), Code::kInvalidArgument);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":)"), Code::kDeadlineExceeded);
  EXPECT_EQ(TransactCode(R"({"id":1})"), Code::kCorrupt);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":{},"error":null})"), Code::kCorrupt);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":[],"error":null})"), Code::kCorrupt);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":[7],"error":null})"), Code::kCorrupt);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":null,"error":"no such database"})"),
            Code::kFailedPrecondition);
  EXPECT_EQ(TransactCode(R"({"id":1,"result":[{"error":"timed out"}],"error":null})"),
            Code::kDeadlineExceeded);
  EXPECT_EQ(TransactCode(std::string(R"({"id":1,"result":)") + std::string(100, '[') +
                         std::string(100, ']') + "}"),
            Code::kResourceExhausted);
  FakeServer gone("");
  OvsdbClient client = gone.Connect();
  gone.HangUp();
  EXPECT_EQ(client.Transact({kSelect}).error().code(), Code::kUnavailable);
}

TEST(Ovsdb, ARefusalIsInTheServersWords) {
  const auto refused = ParseTransactReply(Json::parse(R"({"id":1,"error":null,"result":[{},null,
                      {"error":"constraint violation","details":"a name\n twice"}]})"),
                                          2);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(),
            "ovsdb-server says: constraint violation: a name\\x0a twice");
}

TEST(JsonStream, TakesNoMoreThanItsLimit) {
  JsonStream stream(10);
  stream.Push(R"({"a":1}{"a)");
  EXPECT_EQ(stream.Next().value(), R"({"a":1})");
  EXPECT_EQ(stream.Next().value(), std::nullopt);
  stream.Push(R"(":12345})");
  const auto next = stream.Next();
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().code(), Code::kResourceExhausted);
}

TEST(JsonStream, FindsObjectsHoweverTheyAreCut) {
  const std::string text = " {\"a\":\"}\\\"\\\\\"}\n{\"b\":[{},{\"c\":\"{\"}]} ";
  JsonStream stream(100);
  std::vector<std::string> objects;
  for (const char c : text) {
    stream.Push({&c, 1});
    if (auto next = stream.Next().value()) objects.push_back(*next);
  }
  EXPECT_EQ(objects,
            (std::vector<std::string>{"{\"a\":\"}\\\"\\\\\"}", "{\"b\":[{},{\"c\":\"{\"}]}"}));
}

TEST(OvsdbValues, AreTakenInTheirFormsOnly) {
  const auto json = [](const char* text) { return Json::parse(text); };
  EXPECT_EQ(TakeUuid(json(R"(["uuid","u1"])")).value(), "u1");
  EXPECT_EQ(TakeUuids(json(R"(["uuid","u1"])")).value(), std::vector<std::string>{"u1"});
  EXPECT_EQ(TakeUuids(json(R"(["set",[["uuid","u1"],["uuid","u2"]]])")).value().size(), 2u);
  EXPECT_EQ(TakeString(json(R"(["set",[]])")).value(), "");
  EXPECT_EQ(TakeInteger(json(R"(["set",[]])")).value(), 0);
  EXPECT_EQ(TakeInteger(json("101")).value(), 101);
  EXPECT_EQ(TakeMap(json(R"(["map",[["a","b"]]])")).value(), (OvsdbStrings{{"a", "b"}}));
  for (const char* bad : {"1", "{}", "[]", R"(["uuid"])", R"(["uuid",1])", R"(["map",[["a"]]])",
                          R"(["map",[["a",1]]])", R"(["map",1])", R"(["set",1])", "null"}) {
    EXPECT_FALSE(TakeUuid(json(bad)).ok()) << bad;
    EXPECT_FALSE(TakeUuids(json(bad)).ok()) << bad;
    EXPECT_FALSE(TakeMap(json(bad)).ok()) << bad;
    EXPECT_FALSE(TakeString(json(bad)).ok()) << bad;
  }
  EXPECT_FALSE(TakeInteger(json(R"("1")")).ok());
  EXPECT_FALSE(TakeInteger(json(R"(["set",[1,2]])")).ok());
}

TEST(OvsdbValues, ASwitchWithoutARowOrAColumnIsRefused) {
  const auto rows = [](const char* text) { return Json{{"rows", Json::parse(text)}}; };
  const Json root = rows(R"([{"_uuid":["uuid","r"],"next_cfg":3,"cur_cfg":2}])");
  const Json none = rows("[]");
  const auto parsed = ParseSwitch({root, none, none, none, none, none}, "ab123");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(parsed->root, "r");
  EXPECT_EQ(parsed->next_cfg, 3);
  EXPECT_EQ(ParseSwitch({none, none, none, none, none, none}, "ab123").error().code(),
            Code::kFailedPrecondition);
  for (const Json& bad : {Json::object(), rows("7"), rows("[7]"), rows("[{}]"),
                          rows(R"([{"_uuid":["uuid","b"],"name":["set",["a","b"]]}])")}) {
    for (size_t table = 1; table < 6; ++table) {
      if (table >= 2 && table <= 4 && bad.contains("rows") && bad["rows"].is_array() &&
          bad["rows"][0].is_object() && !bad["rows"][0].empty()) {
        continue;  // Rows that no bridge has are not looked into.
      }
      std::vector<Json> results(6, none);
      results[0] = root;
      results[table] = bad;
      EXPECT_FALSE(ParseSwitch(results, "ab123").ok()) << bad << " " << table;
    }
  }
}

}  // namespace
}  // namespace strata::net
