#include "net/dns/control.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "common/json_text.h"

namespace strata::net {
namespace {

using Json = nlohmann::json;
constexpr size_t kDepthMax = 5;

constexpr std::array<std::pair<const char*, uint64_t NameCounts::*>, 8> kCounts = {{
    {"questions", &NameCounts::questions},
    {"own", &NameCounts::own},
    {"own_none", &NameCounts::own_none},
    {"passed_on", &NameCounts::passed_on},
    {"refused", &NameCounts::refused},
    {"malformed", &NameCounts::malformed},
    {"over_limit", &NameCounts::over_limit},
    {"failed", &NameCounts::failed},
}};

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, what); }

const Json& At(const Json& object, const std::string& name) {
  static const Json kNothing;
  const auto found = object.find(name);
  return found == object.end() ? kNothing : *found;
}

std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

template <typename Number>
std::optional<Number> ReadNumber(const Json& value) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<Number>::max())) {
    return std::nullopt;
  }
  return static_cast<Number>(value.get<uint64_t>());
}

Result<std::vector<IpAddress>> ReadAddresses(const Json& list, size_t first) {
  std::vector<IpAddress> addresses;
  for (size_t i = first; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(addresses.emplace_back(), IpAddress::Parse(Text(list[i])));
  }
  return addresses;
}

Result<NetworkNames> ReadNetwork(const Json& object) {
  NetworkNames network;
  const auto number = ReadNumber<uint32_t>(At(object, "number"));
  const auto link = ReadNumber<int>(At(object, "link"));
  if (!number || !link) return Wrong("no number, or no link");
  network.number = *number;
  network.link = *link;
  ASSIGN_OR_RETURN(network.prefix, Ipv4Prefix::Parse(Text(At(object, "prefix"))));
  ASSIGN_OR_RETURN(network.pool, Ipv4Prefix::Parse(Text(At(object, "pool"))));
  network.names.domain = Text(At(object, "domain"));
  for (const Json& name : At(object, "names")) {
    if (!name.is_array() || name.empty()) return Wrong("a name is no list");
    HostName& one = network.names.names.emplace_back();
    one.name = Text(name[0]);
    ASSIGN_OR_RETURN(one.addresses, ReadAddresses(name, 1));
  }
  RETURN_IF_ERROR(CheckHostNames(network.names));
  return network;
}

}  // namespace

Result<PassedMessage> ReceiveControl(int socket, size_t bytes_max) {
  const ssize_t size = ::recv(socket, nullptr, 0, MSG_PEEK | MSG_TRUNC);
  return ReceivePassed(socket,
                       std::clamp<size_t>(size < 0 ? 0 : static_cast<size_t>(size), 1, bytes_max));
}

std::string Format(const ControlRequest& request) {
  Json out = Json::object();
  if (request.network) {
    Json names = Json::array();
    for (const HostName& name : request.network->names.names) {
      Json one = {name.name};
      for (const IpAddress& address : name.addresses) one.push_back(address.ToString());
      names.push_back(std::move(one));
    }
    out["network"] = {{"number", request.network->number},
                      {"link", request.network->link},
                      {"prefix", request.network->prefix.ToString()},
                      {"pool", request.network->pool.ToString()},
                      {"domain", request.network->names.domain},
                      {"names", std::move(names)}};
  }
  if (!request.drop.empty()) out["drop"] = request.drop;
  if (request.resolvers) {
    Json& resolvers = out["resolvers"] = Json::array();
    for (const IpAddress& one : *request.resolvers) resolvers.push_back(one.ToString());
  }
  if (request.look) out["look"] = true;
  if (request.end) out["end"] = true;
  return out.dump();
}

Result<ControlRequest> ParseControlRequest(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Json object, ParseJsonText(bytes, kControlRequestBytesMax, kDepthMax));
  if (!object.is_object()) return Wrong("not an object");
  ControlRequest request;
  if (object.contains("network")) {
    ASSIGN_OR_RETURN(request.network, ReadNetwork(object["network"]));
  }
  for (const Json& one : At(object, "drop")) {
    const auto number = ReadNumber<uint32_t>(one);
    if (number) request.drop.push_back(*number);
  }
  if (object.contains("resolvers")) {
    ASSIGN_OR_RETURN(request.resolvers, ReadAddresses(object["resolvers"], 0));
  }
  request.look = object.contains("look");
  request.end = object.contains("end");
  return request;
}

std::string Format(const ControlResponse& response) {
  Json counts = Json::object();
  for (const auto& [name, count] : kCounts) counts[name] = response.counts.*count;
  Json held = Json::array();
  for (const auto& [number, link] : response.held) held.push_back({number, link});
  return Json({{"version", response.version}, {"counts", counts}, {"held", held}}).dump();
}

Result<ControlResponse> ParseControlResponse(std::string_view bytes) {
  ASSIGN_OR_RETURN(const Json object, ParseJsonText(bytes, kControlResponseBytesMax, kDepthMax));
  if (!object.is_object()) return Wrong("not an object");
  ControlResponse response;
  response.version = Text(At(object, "version"));
  const Json& counts = At(object, "counts");
  if (counts.is_object()) {
    for (const auto& [name, count] : kCounts) {
      response.counts.*count = ReadNumber<uint64_t>(At(counts, name)).value_or(0);
    }
  }
  for (const Json& pair : At(object, "held")) {
    if (!pair.is_array() || pair.size() != 2) return Wrong("what is held is no pair");
    const auto number = ReadNumber<uint32_t>(pair[0]);
    const auto link = ReadNumber<int>(pair[1]);
    if (!number || !link) return Wrong("what is held is no pair of numbers");
    response.held[*number] = *link;
  }
  return response;
}

}  // namespace strata::net
