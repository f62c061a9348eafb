#include "vclusterd/rest/routes/handler_parts.h"

#include "common/printable.h"
#include "vclusterd/definition/units.h"
#include "vclusterd/rest/routes/vcluster_orders.h"

namespace strata::vcluster::rest {
namespace {

constexpr int64_t kGraceDefaultS = 10;

}  // namespace

std::string VclusterIn(const Exchange& exchange) { return WithSlash(exchange.path.at("vcluster")); }

std::string WithSlash(std::string name) {
  // Neither users nor Vclusters have a colon in their names.
  if (const size_t colon = name.find(':'); colon != std::string::npos) name[colon] = '/';
  return name;
}

std::string NamedIn(const Exchange& exchange) {
  const auto node = exchange.path.find("node");
  return VclusterIn(exchange) + (node == exchange.path.end() ? "" : "/" + node->second);
}

QueryParameter WaitParameter() {
  return {"wait", schema::Text("How long the answer may take when that shows the end: 30s, up to "
                               "60s. Otherwise it comes at once.",
                               20)};
}

Result<std::chrono::milliseconds> WaitOf(const Exchange& exchange) {
  return ParseWait(exchange.Asked<std::string>("wait", ""), std::chrono::milliseconds(0));
}

Result<std::chrono::milliseconds> ParseWait(const std::string& text,
                                            std::chrono::milliseconds otherwise) {
  if (text.empty()) return otherwise;
  ASSIGN_OR_RETURN(const std::chrono::milliseconds wait, ParseDuration(text), "wait");
  return std::min<std::chrono::milliseconds>(wait, kWaitMax);
}

Result<Reply> BeginOperation(Exchange& exchange, Result<OperationBook::Order> ordered) {
  ASSIGN_OR_RETURN(OperationBook::Order order, std::move(ordered));
  ASSIGN_OR_RETURN(const std::chrono::milliseconds wait, WaitOf(exchange));
  OperationBook& book = exchange.services.operations;
  ASSIGN_OR_RETURN(OperationView view, book.Start(exchange.caller, std::move(order)));
  if (wait.count() > 0) view = book.Await(view.id, wait).value_or(view);
  if (view.error) return *view.error;
  Reply reply = Answer(ToJson(view, /*with_result=*/true), view.ended() ? 200 : 202);
  reply.headers.push_back({"Location", "/v1/operations/" + view.id});
  return reply;
}

Result<Reply> StartNamed(Exchange& exchange) {
  return BeginOperation(exchange, StartOrder(exchange, NamedIn(exchange)));
}

Result<Reply> StopNamed(Exchange& exchange) {
  const std::chrono::seconds grace(exchange.Given<int64_t>("grace_s", kGraceDefaultS));
  return BeginOperation(exchange, StopOrder(exchange, NamedIn(exchange), grace));
}

Result<Reply> ResizeNamed(Exchange& exchange) {
  return BeginOperation(exchange, ResizeOrder(exchange, NamedIn(exchange),
                                              exchange.Given<uint64_t>("disk_bytes", 0)));
}

std::map<int, std::string> OperationAnswers() { return {{200, "Operation"}, {202, "Operation"}}; }

Result<uint32_t> UserIn(const Exchange& exchange, const std::string& word, Operation operation) {
  const Users& users = exchange.services.users;
  const Error unknown(Code::kNotFound,
                      "there is no user '" + Printable(word) + "', or you may not know of him");
  const auto uid = users.UidOf(word);
  if (!uid.ok()) return unknown;
  const Target target = UserTarget(exchange, *uid);
  const bool may_know = users.Allows(exchange.caller, Operation::kUserList, target) ||
                        users.Allows(exchange.caller, operation, target);
  if (!may_know) return unknown;
  return *uid;
}

Result<uint32_t> NamedUser(const Exchange& exchange, Operation operation) {
  return UserIn(exchange, exchange.path.at("user"), operation);
}

Target UserTarget(const Exchange& exchange, uint32_t uid) {
  return {uid, exchange.services.users.NameOf(uid), ""};
}

Json RevisionSchema() {
  return schema::Whole(
      "That the change rests on: when it is another by now, the change is refused "
      "(409).");
}

Reply NoContent() {
  Reply reply;
  reply.status = 204;
  return reply;
}

Reply Answer(Json body, int status) {
  Reply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

}  // namespace strata::vcluster::rest
