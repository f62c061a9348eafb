#include "vclusterd/providers/exec_provider.h"

#include <nlohmann/json.hpp>

#include "common/cancellable_command.h"
#include "common/printable.h"
#include "vclusterd/providers/provider_answers.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;  // Of the protocol.

std::string Request(const char* call, Json fields) {
  fields["version"] = kVersion;
  fields["call"] = call;
  return fields.dump() + "\n";
}

// The last line that says something.
std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of(" \r\n");
  if (end == std::string::npos) return "it said nothing";
  const size_t start = text.rfind('\n', end);
  return Printable(text.substr(start + 1, end - start), 500);
}

}  // namespace

Result<std::string> ExecProvider::Call(const std::string& request,
                                       const CancelToken& cancel) const {
  // One byte more than an answer may have, so that a longer one is seen.
  ASSIGN_OR_RETURN(
      const CommandOutput output,
      RunCancellable(options_.command, request, options_.timeout, kAnswerBytesMax + 1, cancel));
  if (output.exit_code != 0) {
    return Error(Code::kUnavailable, options_.command[0] + " ended with exit code " +
                                         std::to_string(output.exit_code) + ": " +
                                         LastLine(output.err));
  }
  return output.out;
}

Result<std::vector<Offer>> ExecProvider::Offers(const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::string answer, Call(Request("offers", Json::object()), cancel));
  return ParseOffers(answer);
}

Result<std::string> ExecProvider::Start(const StartOrder& order, const CancelToken& cancel) {
  const Json fields = Json::object({{"offer", order.offer},
                                    {"tag", order.tag},
                                    {"host", order.host},
                                    {"token", order.token},
                                    {"masters", order.masters},
                                    {"labels", order.labels}});
  ASSIGN_OR_RETURN(const std::string answer, Call(Request("start", fields), cancel));
  return ParseStarted(answer);
}

Status ExecProvider::Stop(const std::string& id, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::string answer,
                   Call(Request("stop", Json::object({{"id", id}})), cancel));
  return ParseStopped(answer);
}

Result<std::vector<Machine>> ExecProvider::Machines(const std::string& tag_prefix,
                                                    const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::string answer,
                   Call(Request("machines", Json::object({{"tag_prefix", tag_prefix}})), cancel));
  return ParseMachines(answer, tag_prefix);
}

}  // namespace strata::vcluster
