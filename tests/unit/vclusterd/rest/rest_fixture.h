// TestRest: the REST API over a master with a fake host, and users of every role:
//
//   alice, bob      users; alice has the Vcluster "lab" of two nodes
//   teacher         teaches alice in the group "os", has invited her to "guests"
//   other-teacher   teaches nobody
//   admin           an admin
//
// Asked without a socket: what HTTP itself does is tested in tests/unit/http.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "tests/unit/vclusterd/master/fake_host.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/classes/classes.h"
#include "vclusterd/master/jobs.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/rest/rest_api.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {

inline constexpr char kPassword[] = "correct horse battery";

struct Asked {
  std::string method = "GET";
  std::string path;
  std::string query;  // "a=1&b=2"
  std::string token;  // Shown as a bearer's.
  std::string type = "application/json";
  std::string body;
  http::Fields headers;
};

struct Answered {
  int status = 0;
  http::Fields headers;
  std::string text;
  Json json;  // Null when the text is none.
  std::unique_ptr<http::BodySource> stream;
};

class TestRest {
 public:
  explicit TestRest(RateLimits rates = {1e6, 1e6, 1e6, 1e6}, OperationLimits limits = {},
                    AuditBounds audit_bounds = {}) {
    store_ = records::MakeMemoryRecordStore(DesiredTables());
    users_ = std::make_unique<TestUsers>(*store_, CreditOptions(), audit_bounds);
    auto opened = Master::Open(
        MakeMasterOptions("m", net::Ipv4Prefix::Parse("10.215.0.0/16").value(), **users_), *store_);
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    master_ = std::move(*opened);
    host_ = std::make_shared<FakeHost>();
    host_->can_save = true;
    master_->AddHost("h1", host_, {});
    clusters_ = std::make_shared<Clusters>(*master_, **users_);
    auto classes = Classes::Open(*master_, clusters_, **users_);
    EXPECT_TRUE(classes.ok()) << classes.error().message();
    classes_ = std::move(*classes);
    AddPeople();

    table_ = std::make_unique<const RouteTable>(MakeRoutes());
    events_ = std::make_unique<EventFeed>(**users_, EventFeed::Limits(), HostUnixMs);
    operations_ = std::make_unique<OperationBook>(limits, HostUnixMs, nullptr);
    services_ = std::unique_ptr<Services>(
        new Services{**users_,
                     [this]() -> Result<std::shared_ptr<Clusters>> {
                       if (leads_elsewhere.empty()) return clusters_;
                       return Error(Code::kUnavailable,
                                    "host '" + leads_elsewhere + "' leads: ask its vclusterd");
                     },
                     [this]() -> Result<std::shared_ptr<Classes>> { return classes_; },
                     *operations_,
                     *events_,
                     nullptr,
                     {/*registration=*/true, /*tls=*/true},
                     *table_});
    auto api = RestApi::Create(*services_, rates);
    EXPECT_TRUE(api.ok()) << api.error().message();
    api_ = std::move(*api);
  }

  Answered Ask(const Asked& asked) {
    http::Request request;
    request.method = asked.method;
    request.path = asked.path;
    request.query = http::ParseQuery(asked.query).value();
    request.headers = asked.headers;
    if (!asked.token.empty()) {
      request.headers.push_back({"Authorization", "Bearer " + asked.token});
    }
    request.client = "10.9.9.9";
    request.headers.push_back({"Host", "strata"});
    if (!asked.body.empty()) {
      request.headers.push_back({"Content-Type", asked.type});
      request.content_length = asked.body.size();
    }
    http::Answer answer = api_->Handle(request);
    if (auto* sink = std::get_if<std::unique_ptr<http::BodySink>>(&answer)) {
      auto refusal = asked.body.empty() ? std::nullopt : (*sink)->Write(asked.body);
      return Of(refusal ? std::move(*refusal) : (*sink)->Finish());
    }
    return Of(std::move(std::get<http::Response>(answer)));
  }
  Answered Get(const std::string& token, const std::string& path, const std::string& query = "") {
    return Ask({.path = path, .query = query, .token = token});
  }
  Answered Post(const std::string& token, const std::string& path, const Json& body,
                const std::string& query = "") {
    return Ask({.method = "POST",
                .path = path,
                .query = query,
                .token = token,
                .body = body.is_null() ? "" : body.dump()});
  }

  // A session's token.
  std::string SignIn(const std::string& name) {
    const auto made = (*users_)->SignInWithPassword(name, kPassword, "10.9.9.9");
    EXPECT_TRUE(made.ok()) << name << ": " << made.error().message();
    return made.ok() ? made->text : "";
  }
  // One of alice's for these alone, of her Vcluster.
  std::string Scoped(std::vector<Operation> operations) {
    NewToken wanted;
    wanted.kind = users::v1::API;
    wanted.name = "scoped";
    wanted.life_ms = kHourMs;
    wanted.scope = {OperationSet::Of(operations), "alice/lab"};
    return (*users_)->CreateToken(Of("alice"), wanted).value().text;
  }
  // Of the first node of alice's Vcluster, which may scale it from then on.
  std::string NodeToken() {
    Definition lab = clusters_->Export(Of("alice"), "lab", /*pin=*/false).value();
    lab.roles[0].scale_from_nodes.emplace();
    const auto applied = clusters_->Apply(
        Of("alice"), lab, /*dry_run=*/false, /*recreate=*/false,
        [](const std::string&, uint32_t, uint32_t) {}, CancelToken());
    EXPECT_TRUE(applied.ok()) << applied.error().message();
    host::v1::NodeTokenRequest request;
    request.set_number(master_->Find(uids["alice"], "lab").vcluster->record.number());
    return clusters_->MakeNodeToken("h1", request).value().token();
  }
  Caller Of(const std::string& name) { return CallerWith(uids.at(name)); }

  // The host has measured itself, alice's nodes, and both before.
  void Measure() {
    host::v1::HostLoad load;
    load.set_disk_free_bytes(5000);
    *load.mutable_usage() = Using(2);
    host_->SetLoad(load);
    host::v1::UsageHistory of_nodes;
    host::v1::UsageHistory of_host;
    for (const int64_t minute : {28'000'000, 28'000'002}) {
      host::v1::UsagePoint* point = of_nodes.add_points();
      point->set_unix_s(minute * 60);
      *point->mutable_usage() = Using(1);
      *of_host.add_points() = *point;
    }
    of_host.mutable_points(1)->set_disk_free_bytes(6000);
    *of_host.mutable_points(1)->mutable_usage() = Using(2);
    host_->SetHistories(of_nodes, of_host);
    host_->SetUsage(Using(1));
    host_->name = "h1";
    host_->TellAgain(*master_);
  }
  static host::v1::Usage Using(uint64_t times) {
    host::v1::Usage usage;
    usage.set_seconds(10);
    usage.set_cpus(0.5 * static_cast<double>(times));
    usage.set_memory_bytes(times * 10);
    usage.set_read_bytes_per_s(times * 20);
    usage.set_written_bytes_per_s(times * 30);
    usage.set_received_bytes_per_s(times * 40);
    usage.set_sent_bytes_per_s(times * 50);
    usage.set_cpu_pressure(0.125 * static_cast<double>(times));
    usage.set_memory_pressure(0.25 * static_cast<double>(times));
    usage.set_io_pressure(0.375 * static_cast<double>(times));
    return usage;
  }

  // Job 1 of alice's on her "lab", which is done and has written something.
  void RunAJob() {
    host_->EndTask("1.0.0.1", host::v1::TASK_ENDED, 0, "hello\n");
    Jobs jobs(*clusters_);
    const auto job = ParseJob("{name: count, vcluster: lab, tasks: {a: {run: x}}}", "j", {});
    EXPECT_TRUE(job.ok() && jobs.Submit(Of("alice"), *job).ok());
    const auto status = jobs.Watch(
        Of("alice"), "1", [](const JobView&) { return true; }, {}, CancelToken());
    EXPECT_TRUE(status.ok()) << status.error().message();
  }
  // "course:latest" of the teacher's, for everybody: of alice's "lab".
  void SaveATemplate() {
    SaveTemplateParameters parameters;
    parameters.cluster = "alice/lab";
    parameters.name = "course";
    parameters.is_public = true;
    const auto saved = classes_->templates().Save(Of("teacher"), parameters, Ignore, CancelToken());
    EXPECT_TRUE(saved.ok()) << saved.error().message();
  }
  // "os-lab" of the teacher's, with alice as its student, who has been served.
  void MakeAClass() {
    SaveATemplate();
    CreateClassParameters parameters;
    parameters.name = "os-lab";
    parameters.template_name = "course";
    parameters.roster = kRoster;
    const auto made = classes_->Create(Of("teacher"), parameters);
    EXPECT_TRUE(made.ok()) << made.error().message();
    const auto served = classes_->Watch(Of("teacher"), "os-lab", Ignore, CancelToken());
    EXPECT_TRUE(served.ok()) << served.error().message();
  }
  static constexpr char kRoster[] = "user,name\nalice,Alice\n";
  static void Ignore(const std::string&, uint32_t, uint32_t) {}

  Users& users() { return **users_; }
  Clusters& clusters() { return *clusters_; }
  OperationBook& operations() { return *operations_; }
  EventFeed& events() { return *events_; }
  Services& services() { return *services_; }
  const RouteTable& table() { return *table_; }
  FakeHost& host() { return *host_; }

  std::map<std::string, uint32_t> uids;
  std::string leads_elsewhere;  // The host whose master leads; empty: ours does.

 private:
  static Answered Of(http::Response response) {
    Answered answered;
    answered.status = response.status;
    answered.headers = std::move(response.headers);
    answered.text = std::move(response.text);
    answered.stream = std::move(response.body);
    answered.json = Json::parse(answered.text, nullptr, /*allow_exceptions=*/false);
    if (answered.json.is_discarded()) answered.json = Json();
    return answered;
  }

  void Add(const std::string& name, users::v1::Role role) {
    NewAccount wanted;
    wanted.name = name;
    wanted.role = role;
    wanted.password = kPassword;
    const auto account = (*users_)->CreateAccount(kRoot, wanted, /*of_host=*/false);
    EXPECT_TRUE(account.ok()) << account.error().message();
    uids[name] = (*account)->uid();
  }

  void AddPeople() {
    Add("alice", users::v1::USER);
    Add("bob", users::v1::USER);
    Add("teacher", users::v1::TEACHER);
    Add("other-teacher", users::v1::TEACHER);
    Add("admin", users::v1::ADMIN);
    GroupEdit enrol;
    enrol.enrol = {uids["alice"]};
    const GroupPtr os = (*users_)->CreateGroup(Of("teacher"), "os", "").value();
    EXPECT_TRUE((*users_)->EditGroup(kRoot, os->number(), enrol).ok());
    GroupEdit invite;
    invite.invite = {uids["alice"]};
    const GroupPtr guests = (*users_)->CreateGroup(Of("teacher"), "guests", "").value();
    EXPECT_TRUE((*users_)->EditGroup(kRoot, guests->number(), invite).ok());
    EXPECT_TRUE((*users_)->ApplyForCredits(Of("alice"), 1000, "thesis").ok());
    const auto made = clusters_->Create(Of("alice"), PlainDefinition("lab", "tiny", 2, Limits()),
                                        "", Ignore, CancelToken());
    EXPECT_TRUE(made.ok()) << made.error().message();
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  std::unique_ptr<Master> master_;
  std::shared_ptr<FakeHost> host_;
  std::shared_ptr<Clusters> clusters_;
  std::shared_ptr<Classes> classes_;
  std::unique_ptr<const RouteTable> table_;
  std::unique_ptr<EventFeed> events_;
  std::unique_ptr<Services> services_;  // Operations use it until they have ended.
  std::unique_ptr<OperationBook> operations_;
  std::unique_ptr<RestApi> api_;
};

}  // namespace strata::vcluster::rest
