// Any bytes as what a node asks of its gateway, by UDP and TCP, or, after an 'r', as what a
// resolver says to "www.example.org": an answer of a bounded size, or none.
//   build/fuzz/bin/fuzz_dns -max_len=4096 CORPUS
#include <cstdint>
#include <string>
#include <string_view>

#include "common/log.h"
#include "net/dns/zone.h"

namespace strata::net {
namespace {

Zone MakeZone() {
  HostNames names;
  names.domain = "hpc";
  names.names = {{"web-0", {IpAddress::Parse("10.90.7.2").value()}}, {"web", {}}};
  for (int i = 2; i < 250; ++i) {
    names.names[1].addresses.push_back(IpAddress::Parse("10.90.7." + std::to_string(i)).value());
  }
  return Zone(names, Ipv4Prefix::Parse("10.90.0.0/16").value());
}

void TakeQuestion(std::string_view bytes) {
  static const Zone kZone = MakeZone();
  const ReadQuery read = ParseQuery(bytes);
  if (!read.query) {
    CHECK(read.reply.size() <= kUdpBytesMin);
    return;
  }
  CHECK(read.reply.empty() && bytes.size() <= kUdpBytesMax);
  const Query& query = *read.query;
  CHECK(query.udp_bytes_max >= kUdpBytesMin && query.udp_bytes_max <= kUdpBytesMax);
  // The same question comes out again.
  const auto again = ParseQuery(MakeQuestion(query, 1)).query;
  CHECK(again && again->question.name == query.question.name);
  CHECK(again->question.type == query.question.type);
  const Answers answers = kZone.Find(query.question, 1).value_or(Answers{Rcode::kRefused, {}, {}});
  CHECK(MakeReply(query, answers, true, query.udp_bytes_max).size() <= query.udp_bytes_max);
  CHECK(MakeReply(query, answers, true, kTcpBytesMax).size() <= kTcpBytesMax);
}

void TakeReply(std::string_view bytes) {
  Query query;
  query.question = {"www.example.org", std::string("\3www\7example\3org\0", 17), kTypeA, kClassIn};
  if (bytes.size() < 2) return;
  const auto id =
      static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  if (!RcodeOfReply(bytes, query, id)) return;
  CHECK(PassOn(bytes, query, kTcpBytesMax).size() == bytes.size());
  CHECK(PassOn(bytes, query, kUdpBytesMin).size() <= kUdpBytesMin);
}

}  // namespace
}  // namespace strata::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.front() == 'r') {
    strata::net::TakeReply(bytes.substr(1));
  } else {
    strata::net::TakeQuestion(bytes.substr(1));
  }
  return 0;
}
