#include "net/secure/uapi_text.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>

#include "common/pki/random.h"

namespace strata::net {
namespace {

// More than anybody has; a device that others have filled is looked at up to here.
constexpr size_t kPeersMax = 4 * kFabricPeersMax;
constexpr size_t kAllowedMax = 1024;

std::string Hex(const KeyBytes& bytes) {
  return pki::HexOf({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::optional<KeyBytes> ParseHex(std::string_view text) {
  KeyBytes bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char* const first = text.data() + 2 * i;
    const auto parsed = std::from_chars(first, first + 2, bytes[i], 16);
    if (parsed.ec != std::errc() || parsed.ptr != first + 2) return std::nullopt;
  }
  return bytes;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const char* const last = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), last, *number);
  return parsed.ec == std::errc() && parsed.ptr == last;
}

// 200 years after 1970 is as far as nanoseconds go.
template <typename Unit>
bool AddTime(std::string_view text, std::chrono::nanoseconds* time) {
  constexpr Unit kMax = std::chrono::duration_cast<Unit>(std::chrono::hours(24 * 365 * 200));
  int64_t number = 0;
  if (!ParseNumber(text, &number) || number < 0 || number > kMax.count()) return false;
  *time = std::min<std::chrono::nanoseconds>(*time + Unit(number), kMax);
  return true;
}

struct Line {
  std::string_view key;
  std::string_view value;
};

// One more than there is: nothing is left.
std::optional<Line> TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const std::string_view line = text->substr(0, end);
  text->remove_prefix(end + 1);
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return Line{line, {}};
  return Line{line.substr(0, equals), line.substr(equals + 1)};
}

bool ReadAllowed(std::string_view value, ObservedPeer* peer) {
  if (value.find(':') != std::string_view::npos) {
    peer->allows_ipv6 = true;
    return true;
  }
  auto prefix = Ipv4Prefix::Parse(value);
  if (!prefix.ok() || peer->allowed.size() == kAllowedMax) return false;
  peer->allowed.push_back(*prefix);
  return true;
}

bool ReadPeerLine(const Line& line, ObservedPeer* peer) {
  if (line.key == "preshared_key") {
    const auto key = ParseHex(line.value);
    if (key) peer->preshared = SecretKey(*key);
    return key.has_value();
  }
  if (line.key == "endpoint") {
    auto endpoint = Endpoint::Parse(line.value);
    peer->endpoint = endpoint.ok() ? std::optional(*endpoint) : std::nullopt;
    return true;
  }
  if (line.key == "persistent_keepalive_interval") {
    return ParseNumber(line.value, &peer->keepalive_s);
  }
  if (line.key == "last_handshake_time_sec") {
    return AddTime<std::chrono::seconds>(line.value, &peer->last_handshake);
  }
  if (line.key == "last_handshake_time_nsec") {
    return AddTime<std::chrono::nanoseconds>(line.value, &peer->last_handshake);
  }
  if (line.key == "rx_bytes") return ParseNumber(line.value, &peer->received_bytes);
  if (line.key == "tx_bytes") return ParseNumber(line.value, &peer->sent_bytes);
  if (line.key == "allowed_ip") return ReadAllowed(line.value, peer);
  return true;
}

bool ReadLine(const Line& line, ObservedDevice* device) {
  if (line.key == "public_key") {
    const auto key = ParseHex(line.value);
    if (!key || device->peers.size() == kPeersMax) return false;
    device->peers.emplace_back().key = PublicKey{*key};
    return true;
  }
  if (!device->peers.empty()) return ReadPeerLine(line, &device->peers.back());
  if (line.key == "private_key") {
    const auto key = ParseHex(line.value);
    if (key) device->key = SecretKey(*key);
    return key.has_value();
  }
  return line.key != "listen_port" || ParseNumber(line.value, &device->port);
}

}  // namespace

std::string FormatUapiSet(const DeviceChange& change) {
  std::string text = "set=1\n";
  if (change.key) text += "private_key=" + Hex(change.key->bytes()) + "\n";
  if (change.port) text += "listen_port=" + std::to_string(*change.port) + "\n";
  for (const PublicKey& key : change.remove_peers) {
    text += "public_key=" + Hex(key.bytes) + "\nremove=true\n";
  }
  for (const PeerSettings& peer : change.set_peers) {
    text += "public_key=" + Hex(peer.key.bytes) + "\n";
    text += "preshared_key=" + Hex(peer.preshared.bytes()) + "\n";
    if (peer.endpoint) text += "endpoint=" + peer.endpoint->ToString() + "\n";
    text += "persistent_keepalive_interval=" + std::to_string(peer.keepalive_s) + "\n";
    text += "replace_allowed_ips=true\n";
    for (const Ipv4Prefix& prefix : peer.allowed) {
      text += "allowed_ip=" + prefix.ToString() + "\n";
    }
  }
  return text + "\n";
}

bool IsWholeUapiAnswer(std::string_view answer) { return answer.ends_with("\n\n"); }

Status ParseUapiStatus(std::string_view answer) {
  while (const auto line = TakeLine(&answer)) {
    if (line->key != "errno") continue;
    int number = 0;
    if (!ParseNumber(line->value, &number)) break;
    if (number == 0) return Ok();
    return Errno("WireGuard refuses it", number < 0 ? -number : number);
  }
  return Error(Code::kCorrupt, "WireGuard's answer tells no errno");
}

Result<ObservedDevice> ParseUapiDevice(std::string_view answer) {
  RETURN_IF_ERROR(ParseUapiStatus(answer));
  ObservedDevice device;
  int number = 0;
  while (const auto line = TakeLine(&answer)) {
    ++number;
    // The value may be a key.
    if (!ReadLine(*line, &device)) {
      return Error(Code::kCorrupt, "WireGuard's answer, line " + std::to_string(number) +
                                       ": no value of " + std::string(line->key.substr(0, 40)));
    }
  }
  return device;
}

}  // namespace strata::net
