// A host of a test: a namespace in which a desired network is applied, with nodes.
#pragma once

#include <cstdint>
#include <string>

#include "net/apply.h"
#include "tests/unit/net/namespaces.h"

namespace strata::net {

struct TestNode {
  NetNamespace space;
  std::string veth;  // The host's end; "eth0" is the node's.
  std::string address;
  std::string address6;
};

class TestHost {
 public:
  static constexpr char kInstance[] = "ab123";

  TestHost();

  // Bridge 10.90.CLUSTER.0/24, with IPv6. It is there after the next Apply().
  Bridge& AddBridge(uint32_t cluster);
  // With the MAC and MTU that it must have; the rules know it after the next Apply(). REQUIRES: its
  // bridge is there.
  TestNode AddNode(uint32_t cluster, uint32_t index);

  NetworkPlan Plan() const;
  void Apply();

  NetNamespace space;
  DesiredNetwork desired;
  RulesInForce rules;
};

// Nothing to do for a plan but to write the rules anew.
bool IsDone(const NetworkPlan& plan);

}  // namespace strata::net
