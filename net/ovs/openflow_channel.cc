#include "net/ovs/openflow_channel.h"

#include <utility>

namespace strata::net {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr uint32_t kBundle = 1;  // A connection has one at a time.

}  // namespace

Result<OpenFlowChannel> OpenFlowChannel::Open(UnixStream stream,
                                              std::chrono::milliseconds patience) {
  OpenFlowChannel channel(std::move(stream), patience);
  const auto until = UnixStream::Clock::now() + patience;
  RETURN_IF_ERROR(channel.stream_.Send(HelloMessage(++channel.xid_), until));
  ASSIGN_OR_RETURN(const Message hello, channel.NextMessage(until));
  if (hello.header.type != OpenFlowType::kHello || hello.header.version < kOpenFlowVersion) {
    return Error(Code::kUnsupported, channel.stream_.name() +
                                         " does not speak OpenFlow 1.4: take the bridge's "
                                         "\"protocols\" away");
  }
  return channel;
}

Result<OpenFlowChannel::Message> OpenFlowChannel::NextMessage(UnixStream::Clock::time_point until) {
  for (;;) {
    if (received_.size() >= kOpenFlowHeaderBytes) {
      ASSIGN_OR_RETURN(const OpenFlowHeader header, ParseOpenFlowHeader(received_), stream_.name());
      if (received_.size() >= header.length) {
        Message message = {
            header, received_.substr(kOpenFlowHeaderBytes, header.length - kOpenFlowHeaderBytes)};
        received_.erase(0, header.length);
        if (header.type != OpenFlowType::kEchoRequest) return message;
        RETURN_IF_ERROR(stream_.Send(
            OpenFlowMessage(OpenFlowType::kEchoReply, header.xid, message.body), until));
        continue;
      }
    }
    ASSIGN_OR_RETURN(const std::string bytes, stream_.Receive(kReadBytes, until));
    received_ += bytes;
  }
}

Result<OpenFlowChannel::Message> OpenFlowChannel::Answer(uint32_t xid, OpenFlowType type,
                                                         UnixStream::Clock::time_point until) {
  for (;;) {
    ASSIGN_OR_RETURN(Message message, NextMessage(until));
    if (message.header.type == OpenFlowType::kError) {
      return Error(Code::kFailedPrecondition,
                   stream_.name() + " refuses it: OpenFlow error " + ParseErrorBody(message.body));
    }
    if (message.header.xid == xid && message.header.type == type) return message;
  }
}

Result<std::vector<Flow>> OpenFlowChannel::ReadFlows() {
  const auto until = UnixStream::Clock::now() + patience_;
  const uint32_t xid = ++xid_;
  RETURN_IF_ERROR(stream_.Send(FlowStatsRequest(xid), until));
  std::vector<Flow> flows;
  for (;;) {
    ASSIGN_OR_RETURN(const Message message, Answer(xid, OpenFlowType::kMultipartReply, until));
    ASSIGN_OR_RETURN(FlowStats stats, ParseFlowStats(message.body), stream_.name());
    for (Flow& flow : stats.flows) flows.push_back(std::move(flow));
    if (flows.size() > kFlowsMax) {
      return Error(Code::kResourceExhausted,
                   stream_.name() + " has more than " + std::to_string(kFlowsMax) + " flows");
    }
    if (!stats.more) return flows;
  }
}

Status OpenFlowChannel::Control(BundleControl what, BundleControl answer,
                                UnixStream::Clock::time_point until) {
  const uint32_t xid = ++xid_;
  RETURN_IF_ERROR(stream_.Send(BundleControlMessage(xid, kBundle, what), until));
  ASSIGN_OR_RETURN(const Message message, Answer(xid, OpenFlowType::kBundleControl, until));
  ASSIGN_OR_RETURN(const BundleControl got, ParseBundleControl(message.body, kBundle),
                   stream_.name());
  if (got != answer) return Error(Code::kCorrupt, stream_.name() + ": another answer");
  return Ok();
}

Status OpenFlowChannel::Change(const FlowChanges& changes) {
  const auto until = UnixStream::Clock::now() + patience_;
  RETURN_IF_ERROR(Control(BundleControl::kOpen, BundleControl::kOpened, until));
  const auto add = [&](const auto& make) {
    const uint32_t xid = ++xid_;
    return stream_.Send(BundleAddMessage(xid, kBundle, make(xid)), until);
  };
  if (changes.clear) RETURN_IF_ERROR(add(DeleteAllFlowsMessage));
  for (const Flow& flow : changes.remove) {
    RETURN_IF_ERROR(
        add([&](uint32_t xid) { return FlowModMessage(xid, FlowCommand::kDeleteStrict, flow); }));
  }
  for (const Flow& flow : changes.add) {
    RETURN_IF_ERROR(
        add([&](uint32_t xid) { return FlowModMessage(xid, FlowCommand::kAdd, flow); }));
  }
  return Control(BundleControl::kCommit, BundleControl::kCommitted, until);
}

}  // namespace strata::net
