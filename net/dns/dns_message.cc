#include "net/dns/dns_message.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace strata::net {
namespace {

struct Deleter {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
  void operator()(ldns_rdf* data) const { ldns_rdf_deep_free(data); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

// A key or the like is all that may be behind a question.
constexpr uint16_t kAdditionalMax = 2;

const uint8_t* Bytes(std::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

std::string Written(const ldns_pkt& packet) {
  uint8_t* wire = nullptr;
  size_t size = 0;
  std::string out;
  if (ldns_pkt2wire(&wire, &packet, &size) == LDNS_STATUS_OK) {
    out.assign(reinterpret_cast<const char*>(wire), size);
  }
  std::free(wire);
  return out;
}

// The name as text, lower-case; bytes that no host name has are escaped.
std::string TextOf(const ldns_rdf& name) {
  char* const text = ldns_rdf2str(&name);
  std::string out = text == nullptr ? "" : text;
  std::free(text);
  if (!out.empty() && out.back() == '.') out.pop_back();
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

Question QuestionOf(const ldns_rr& record) {
  const ldns_rdf* const owner = ldns_rr_owner(&record);
  Question question;
  question.name = TextOf(*owner);
  question.owner.assign(reinterpret_cast<const char*>(ldns_rdf_data(owner)), ldns_rdf_size(owner));
  question.type = static_cast<uint16_t>(ldns_rr_get_type(&record));
  question.dns_class = static_cast<uint16_t>(ldns_rr_get_class(&record));
  return question;
}

Owned<ldns_rdf> OwnerOf(const Question& question) {
  return Owned<ldns_rdf>(
      ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, question.owner.size(), question.owner.data()));
}

Owned<ldns_rr> NewRecord(const Question& question, uint16_t type) {
  Owned<ldns_rr> record(ldns_rr_new());
  ldns_rr_set_owner(record.get(), OwnerOf(question).release());
  ldns_rr_set_type(record.get(), static_cast<ldns_rr_type>(type));
  ldns_rr_set_class(record.get(), static_cast<ldns_rr_class>(question.dns_class));
  ldns_rr_set_ttl(record.get(), kAnswerTtlS);
  return record;
}

void PushQuestion(const Question& question, ldns_pkt* packet) {
  Owned<ldns_rr> record = NewRecord(question, question.type);
  ldns_rr_set_question(record.get(), true);
  ldns_pkt_push_rr(packet, LDNS_SECTION_QUESTION, record.release());
}

void PushAnswer(const Question& question, uint16_t type, ldns_rdf* data, ldns_pkt* packet) {
  if (data == nullptr) return;
  Owned<ldns_rr> record = NewRecord(question, type);
  ldns_rr_push_rdf(record.get(), data);
  ldns_pkt_push_rr(packet, LDNS_SECTION_ANSWER, record.release());
}

// With no more than the header, of a question that is not even read.
std::string MakeRefusal(std::string_view bytes, Rcode rcode) {
  const Owned<ldns_pkt> packet(ldns_pkt_new());
  ldns_pkt_set_id(packet.get(), LDNS_ID_WIRE(Bytes(bytes)));
  ldns_pkt_set_opcode(packet.get(), static_cast<ldns_pkt_opcode>(LDNS_OPCODE_WIRE(Bytes(bytes))));
  ldns_pkt_set_qr(packet.get(), true);
  ldns_pkt_set_rd(packet.get(), LDNS_RD_WIRE(Bytes(bytes)) != 0);
  ldns_pkt_set_rcode(packet.get(), static_cast<uint8_t>(rcode));
  return Written(*packet);
}

Owned<ldns_pkt> NewReply(const Query& query, Rcode rcode, bool is_own) {
  Owned<ldns_pkt> packet(ldns_pkt_new());
  ldns_pkt_set_id(packet.get(), query.id);
  ldns_pkt_set_qr(packet.get(), true);
  ldns_pkt_set_aa(packet.get(), is_own);
  ldns_pkt_set_rd(packet.get(), query.wants_recursion);
  ldns_pkt_set_ra(packet.get(), true);
  ldns_pkt_set_cd(packet.get(), query.checking_disabled);
  ldns_pkt_set_rcode(packet.get(), static_cast<uint8_t>(rcode));
  if (query.has_edns) ldns_pkt_set_edns_udp_size(packet.get(), kUdpBytesMax);
  PushQuestion(query.question, packet.get());
  return packet;
}

// Where the question ends, when there is one; nothing else is read.
std::optional<std::pair<Question, size_t>> ReadQuestion(std::string_view bytes) {
  ldns_rr* read = nullptr;
  size_t at = kDnsHeaderBytes;
  if (ldns_wire2rr(&read, Bytes(bytes), bytes.size(), &at, LDNS_SECTION_QUESTION) !=
      LDNS_STATUS_OK) {
    return std::nullopt;
  }
  const Owned<ldns_rr> record(read);
  return std::pair(QuestionOf(*record), at);
}

}  // namespace

ReadQuery ParseQuery(std::string_view bytes) {
  // An answer is never answered: two servers would go on for ever.
  if (bytes.size() < kDnsHeaderBytes || LDNS_QR_WIRE(Bytes(bytes)) != 0) return {};
  const uint8_t* const wire = Bytes(bytes);
  if (LDNS_OPCODE_WIRE(wire) != LDNS_PACKET_QUERY) {
    return {std::nullopt, MakeRefusal(bytes, Rcode::kNotImplemented)};
  }
  const ReadQuery malformed{std::nullopt, MakeRefusal(bytes, Rcode::kFormatError)};
  if (bytes.size() > kUdpBytesMax || LDNS_QDCOUNT(wire) != 1 || LDNS_ANCOUNT(wire) != 0 ||
      LDNS_NSCOUNT(wire) != 0 || LDNS_ARCOUNT(wire) > kAdditionalMax) {
    return malformed;
  }
  ldns_pkt* read = nullptr;
  if (ldns_wire2pkt(&read, wire, bytes.size()) != LDNS_STATUS_OK) return malformed;
  const Owned<ldns_pkt> packet(read);
  const ldns_rr* const record = ldns_rr_list_rr(ldns_pkt_question(packet.get()), 0);
  if (record == nullptr || ldns_rr_owner(record) == nullptr) return malformed;

  Query query;
  query.id = ldns_pkt_id(packet.get());
  query.wants_recursion = ldns_pkt_rd(packet.get());
  query.checking_disabled = ldns_pkt_cd(packet.get());
  query.question = QuestionOf(*record);
  query.has_edns = ldns_pkt_edns(packet.get());
  if (query.has_edns) {
    query.wants_dnssec = ldns_pkt_edns_do(packet.get());
    query.udp_bytes_max =
        std::clamp<size_t>(ldns_pkt_edns_udp_size(packet.get()), kUdpBytesMin, kUdpBytesMax);
    if (ldns_pkt_edns_version(packet.get()) != 0) {
      const Owned<ldns_pkt> reply = NewReply(query, Rcode::kNoError, false);
      ldns_pkt_set_edns_extended_rcode(reply.get(), 1);  // BADVERS is 16.
      return {std::nullopt, Written(*reply)};
    }
  }
  return {std::move(query), ""};
}

std::string MakeReply(const Query& query, const Answers& answers, bool is_own, size_t bytes_max) {
  Owned<ldns_pkt> packet = NewReply(query, answers.rcode, is_own);
  for (const IpAddress& address : answers.addresses) {
    const std::string_view raw = address.raw();
    PushAnswer(query.question, address.is_ipv4() ? kTypeA : kTypeAaaa,
               ldns_rdf_new_frm_data(address.is_ipv4() ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA,
                                     raw.size(), raw.data()),
               packet.get());
  }
  for (const std::string& name : answers.names) {
    PushAnswer(query.question, kTypePtr, ldns_dname_new_frm_str((name + ".").c_str()),
               packet.get());
  }
  std::string bytes = Written(*packet);
  if (bytes.size() <= bytes_max) return bytes;
  packet = NewReply(query, answers.rcode, is_own);
  ldns_pkt_set_tc(packet.get(), true);
  return Written(*packet);
}

std::string MakeQuestion(const Query& query, uint16_t id) {
  const Owned<ldns_pkt> packet(ldns_pkt_new());
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_rd(packet.get(), true);
  ldns_pkt_set_cd(packet.get(), query.checking_disabled);
  if (query.has_edns) {
    ldns_pkt_set_edns_udp_size(packet.get(), kUdpBytesMax);
    ldns_pkt_set_edns_do(packet.get(), query.wants_dnssec);
  }
  PushQuestion(query.question, packet.get());
  return Written(*packet);
}

std::optional<Rcode> RcodeOfReply(std::string_view bytes, const Query& query, uint16_t id) {
  const uint8_t* const wire = Bytes(bytes);
  if (bytes.size() < kDnsHeaderBytes || LDNS_ID_WIRE(wire) != id || LDNS_QR_WIRE(wire) == 0 ||
      LDNS_QDCOUNT(wire) != 1) {
    return std::nullopt;
  }
  const auto question = ReadQuestion(bytes);
  if (!question || question->first.name != query.question.name ||
      question->first.type != query.question.type ||
      question->first.dns_class != query.question.dns_class) {
    return std::nullopt;
  }
  return static_cast<Rcode>(LDNS_RCODE_WIRE(wire));
}

std::string PassOn(std::string_view bytes, const Query& query, size_t bytes_max) {
  std::string out(bytes);
  uint8_t* wire = reinterpret_cast<uint8_t*>(out.data());
  ldns_write_uint16(wire, query.id);
  const auto question = ReadQuestion(out);
  if (out.size() <= bytes_max || !question) return out;
  out.resize(question->second);
  wire = reinterpret_cast<uint8_t*>(out.data());
  LDNS_TC_SET(wire);
  for (const size_t count : {LDNS_ANCOUNT_OFF, LDNS_NSCOUNT_OFF, LDNS_ARCOUNT_OFF}) {
    ldns_write_uint16(wire + count, 0);
  }
  return out;
}

}  // namespace strata::net
