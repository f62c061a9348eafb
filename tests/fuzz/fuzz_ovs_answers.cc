// Any bytes as what ovsdb-server or, after the first byte, a switch says: an error, or values from
// which a plan can be made.
//   build/fuzz/bin/fuzz_ovs_answers -max_len=65536 CORPUS
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/json_text.h"
#include "common/log.h"
#include "net/ovs/flows.h"
#include "net/ovs/json_stream.h"
#include "net/ovs/ovs_plan.h"
#include "net/ovs/transaction.h"

namespace strata::net {
namespace {

DesiredNetwork Desired() {
  DesiredNetwork desired;
  desired.instance = "ab123";
  desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
  desired.bridges = {MakeBridge("ab123", 7, Ipv4Prefix::Parse("10.90.1.0/24").value())};
  desired.veths = {MakeVeth("ab123", 7, 0, 0)};
  desired.keep_unknown_veths = true;
  return desired;
}

void TakeOvsdb(std::string_view bytes) {
  // However it is cut, the same objects are in it.
  JsonStream whole(bytes.size() + 1);
  JsonStream pieces(bytes.size() + 1);
  whole.Push(bytes);
  std::vector<std::string> objects;
  for (const char byte : bytes) {
    pieces.Push({&byte, 1});
    const auto next = pieces.Next();
    if (!next.ok()) break;
    if (next->has_value()) objects.push_back(**next);
  }
  for (const std::string& object : objects) {
    const auto same = whole.Next();
    CHECK(same.ok() && *same == object);
    const auto message = ParseJsonText(object, kOvsdbMessageBytesMax, kOvsdbDepthMax);
    if (!message.ok()) continue;
    (void)ParseTransactReply(*message, 1);
    const auto results = ParseTransactReply(*message, ObserveOperations().size());
    if (!results.ok()) continue;
    (void)TakeNextCfg(*results);
    const auto observed = ParseSwitch(*results, "ab123");
    if (!observed.ok()) continue;
    const auto plan = MakeOvsPlan(Desired(), {}, *observed);
    if (!plan.ok()) continue;
    (void)DescribeOvsChanges(*plan);
    for (const Json& operation : MakeTransaction(*plan)) (void)operation.dump();
  }
}

void TakeOpenFlow(std::string_view bytes) {
  (void)ParseOpenFlowHeader(bytes);
  (void)ParseErrorBody(bytes);
  (void)ParseBundleControl(bytes, 1);
  const auto stats = ParseFlowStats(bytes);
  if (!stats.ok()) return;
  for (const Flow& flow : stats->flows) {
    CHECK(flow.instructions.size() <= bytes.size());
    CHECK(std::is_sorted(flow.match.fields().begin(), flow.match.fields().end()));
    (void)FlowModMessage(1, FlowCommand::kDeleteStrict, flow);
  }
}

}  // namespace
}  // namespace strata::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.front() == 'f') {
    strata::net::TakeOpenFlow(bytes.substr(1));
  } else {
    strata::net::TakeOvsdb(bytes.substr(1));
  }
  return 0;
}
