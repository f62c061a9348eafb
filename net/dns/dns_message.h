// Messages of DNS (RFC 1035, EDNS of RFC 6891), read and written by libldns. Pure.
//
// Foreign bytes: nothing of a message is looked at before it is known to be short and to have one
// question, so that what libldns does with it is bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/ip_address.h"

namespace strata::net {

// The numbers of RFC 1035, 2136 and 6895 that are spoken of here.
enum class Rcode : uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNoSuchName = 3,
  kNotImplemented = 4,
  kRefused = 5,
};
inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypePtr = 12;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr uint16_t kTypeAny = 255;
inline constexpr uint16_t kClassIn = 1;

inline constexpr size_t kDnsHeaderBytes = 12;
// Of a question: a name of 255 bytes and EDNS options fit. Also the largest answer by UDP
// (RFC 9715): fragments are not relied upon.
inline constexpr size_t kUdpBytesMax = 1232;
inline constexpr size_t kUdpBytesMin = 512;  // Whoever says nothing takes so many.
inline constexpr size_t kTcpBytesMax = 65535;

struct Question {
  std::string name;   // In lower case, without the dot at its end; "" is the root.
  std::string owner;  // The same as on the wire, uncompressed, as the sender spelt it.
  uint16_t type = 0;
  uint16_t dns_class = 0;
};

struct Query {
  uint16_t id = 0;
  bool wants_recursion = false;
  bool checking_disabled = false;
  bool has_edns = false;
  bool wants_dnssec = false;
  size_t udp_bytes_max = kUdpBytesMin;  // What it takes by UDP, kUdpBytesMax at most.
  Question question;
};

// What a sender's bytes are: a question, or what is answered at once; or neither, for what no
// answer may be given to.
struct ReadQuery {
  std::optional<Query> query;
  std::string reply;
};
ReadQuery ParseQuery(std::string_view bytes);

// What is answered to a question: addresses, or names that an address has.
struct Answers {
  Rcode rcode = Rcode::kNoError;
  std::vector<IpAddress> addresses;
  std::vector<std::string> names;
};
inline constexpr uint32_t kAnswerTtlS = 5;
// Longer than `bytes_max`: it says so (TC), and has no answers.
std::string MakeReply(const Query& query, const Answers& answers, bool is_own, size_t bytes_max);

// The same question for somebody else, with nothing else of the sender's bytes.
std::string MakeQuestion(const Query& query, uint16_t id);

// The rcode of `bytes`, when they answer MakeQuestion(query, id).
std::optional<Rcode> RcodeOfReply(std::string_view bytes, const Query& query, uint16_t id);
// Such bytes, for whoever sent `query`. REQUIRES: RcodeOfReply has a value.
std::string PassOn(std::string_view bytes, const Query& query, size_t bytes_max);

}  // namespace strata::net
