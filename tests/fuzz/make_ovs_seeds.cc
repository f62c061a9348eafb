// Writes answers of Open vSwitch to start from: make_ovs_seeds DIRECTORY.
#include <cstdio>
#include <string>

#include "common/file_io.h"
#include "net/ovs/flows.h"
#include "net/ovs/wire.h"

namespace {

using namespace strata;
using namespace strata::net;

// As a switch says it, without counters.
std::string Stats(const std::vector<Flow>& flows) {
  WireWriter body;
  body.Put(uint16_t{1}).PutZeros(2 + 4);
  for (const Flow& flow : flows) {
    // The same match and instructions as in the message that makes it.
    const std::string made = FlowModMessage(1, FlowCommand::kAdd, flow).substr(48);
    body.Put(static_cast<uint16_t>(48 + made.size())).Put(flow.table).PutZeros(1 + 4 + 4);
    body.Put(flow.priority).PutZeros(10).Put(flow.cookie).PutZeros(16).PutBytes(made);
  }
  return body.bytes();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Bridge bridge = MakeBridge("ab123", 7, Ipv4Prefix::Parse("10.90.1.0/24").value());
  bridge.overlay = {.vni = 7, .local = {0xc0000201}};
  bridge.overlay->remotes = {{NodeAddress(bridge, 1), NodeMac(bridge, 1), {0xc0000202}}};
  const std::string seeds[] = {
      "f" + Stats(MakeFlows(bridge, {0})),
      "j{\"id\":\"echo\",\"method\":\"echo\",\"params\":[]}"
      "{\"id\":1,\"error\":null,\"result\":[{\"error\":\"timed out\",\"details\":\"d\"}]}",
      R"(j{"id":1,"error":null,"result":[
        {"rows":[{"_uuid":["uuid","r"],"next_cfg":3,"cur_cfg":3}]},
        {"rows":[{"_uuid":["uuid","b"],"name":"sab123b7","fail_mode":"secure",
          "protocols":["set",[]],
          "external_ids":["map",[["strata-instance","ab123"]]],"datapath_type":"system",
          "other_config":["map",[["hwaddr","02:00:00:00:00:01"]]],"controller":["uuid","c"],
          "ports":["set",[["uuid","p"],["uuid","q"]]]}]},
        {"rows":[{"_uuid":["uuid","p"],"name":"sab123b7","qos":["set",[]],
          "external_ids":["map",[["strata-instance","ab123"]]],"interfaces":["uuid","i"]}]},
        {"rows":[{"_uuid":["uuid","i"],"type":"internal","options":["map",[]],
          "external_ids":["map",[]],"ofport":65534,"ofport_request":["set",[]],
          "mtu_request":1500,"error":["set",[]]}]},
        {"rows":[{"_uuid":["uuid","c"],"target":"tcp:192.0.2.1:6653"}]},
        {"rows":[{"_uuid":["uuid","n"],"external_ids":["map",[["strata-instance","ab123"]]]}]}]})"};
  int number = 0;
  for (const std::string& seed : seeds) {
    const std::string path = std::string(argv[1]) + "/ovs" + std::to_string(++number);
    if (const auto written = WriteFileAtomically(path, seed); !written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
