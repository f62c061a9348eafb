// What a program in a node says over its socket, and what it hears (docs/formats.md, "Calls of
// nodes"). Pure. Whoever calls is hostile.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"

namespace strata::vcluster {

inline constexpr size_t kNodeCallBytesMax = 4096;
inline constexpr size_t kNodeAnswerBytesMax = 32 << 10;

struct NodeCall {
  bool json = false;
  host::v1::NodeAskRequest request;  // Which node it is, is not said by the node.
};

// A call ends with an empty line; what follows is not looked at.
bool IsWholeNodeCall(std::string_view text);
// kInvalidArgument, in words that can be shown.
Result<NodeCall> ParseNodeCall(std::string_view text);

// The whole answer to a call; an error as it was met, also before there was a call.
std::string FormatNodeAnswer(const NodeCall& call, const host::v1::NodeAskResponse& response);
std::string FormatNodeRefusal(const Error& error);

}  // namespace strata::vcluster
