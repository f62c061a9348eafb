// OpenFlow over a bridge's management socket (`RUN_DIR/BRIDGE.mgmt`), which ovs-vswitchd has for
// each bridge, controller or not. One thread at a time; every call ends in time.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "net/ovs/openflow.h"
#include "net/ovs/unix_stream.h"

namespace strata::net {

inline constexpr size_t kFlowsMax = 100'000;  // Of one bridge.

struct FlowChanges {
  bool clear = false;  // First of all, everything.
  std::vector<Flow> remove;
  std::vector<Flow> add;
};

class OpenFlowChannel {
 public:
  // kUnavailable when ovs-vswitchd does not listen there, kUnsupported when the bridge does not
  // speak OpenFlow 1.4.
  static Result<OpenFlowChannel> Open(UnixStream stream, std::chrono::milliseconds patience);

  // kCorrupt for what is no answer, kFailedPrecondition for an error that the switch reports.
  Result<std::vector<Flow>> ReadFlows();
  // All of the changes at once, or, after an error, none.
  Status Change(const FlowChanges& changes);

 private:
  OpenFlowChannel(UnixStream stream, std::chrono::milliseconds patience)
      : stream_(std::move(stream)), patience_(patience) {}
  struct Message {
    OpenFlowHeader header;
    std::string body;
  };
  Result<Message> NextMessage(UnixStream::Clock::time_point until);
  // The next one that answers `xid`; errors are errors.
  Result<Message> Answer(uint32_t xid, OpenFlowType type, UnixStream::Clock::time_point until);
  Status Control(BundleControl what, BundleControl answer, UnixStream::Clock::time_point until);

  UnixStream stream_;
  std::chrono::milliseconds patience_;
  std::string received_;
  uint32_t xid_ = 0;
};

}  // namespace strata::net
