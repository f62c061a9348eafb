#include "net/dns/answerer.h"

namespace strata::net {
namespace {

// Types that are about servers, not about names: transfers, keys of transactions (RFC 6895, 3.1).
bool IsOfServers(uint16_t type) { return type == 41 || (type >= 249 && type < kTypeAny); }

size_t BytesMax(const Query& query, bool by_tcp) {
  return by_tcp ? kTcpBytesMax : query.udp_bytes_max;
}

}  // namespace

bool Shares::Take(const Holder& holder) {
  size_t& network = networks_[holder.first];
  size_t& node = nodes_[holder];
  if (node < node_max_ && network < network_max_ && all_ < all_max_) {
    ++node;
    ++network;
    ++all_;
    return true;
  }
  if (node == 0) nodes_.erase(holder);
  if (network == 0) networks_.erase(holder.first);
  return false;
}

void Shares::Give(const Holder& holder) {
  --all_;
  if (--networks_.at(holder.first) == 0) networks_.erase(holder.first);
  if (--nodes_.at(holder) == 0) nodes_.erase(holder);
}

bool ServedNetwork::MayAsk(const IpAddress& node, RateBucket::Clock::time_point now) {
  const auto bucket = buckets.try_emplace(node, Answerer::kPerSecondMax, Answerer::kBurstMax);
  return bucket.first->second.Take(now);
}

void Answerer::Take(const std::shared_ptr<ServedNetwork>& network, const IpAddress& node,
                    std::string_view bytes, bool by_tcp, std::function<void(std::string)> reply) {
  ++counts_.questions;
  if (!network->MayAsk(node, RateBucket::Clock::now())) {
    ++counts_.over_limit;
    return;
  }
  ReadQuery read = ParseQuery(bytes);
  if (!read.query) {
    ++counts_.malformed;
    if (!read.reply.empty()) reply(std::move(read.reply));
    return;
  }
  const Query& query = *read.query;
  const size_t bytes_max = BytesMax(query, by_tcp);
  const auto refuse = [&] {
    ++counts_.refused;
    reply(MakeReply(query, {Rcode::kRefused, {}, {}}, false, bytes_max));
  };
  if (query.question.dns_class != kClassIn || IsOfServers(query.question.type)) return refuse();
  if (const auto answers = network->zone.Find(query.question, network->turn++)) {
    const bool any = !answers->addresses.empty() || !answers->names.empty();
    ++(any ? counts_.own : counts_.own_none);
    return reply(MakeReply(query, *answers, /*is_own=*/true, bytes_max));
  }
  if (!upstream_.knows_anybody()) return refuse();
  PassToUpstream({network->number, node}, query, by_tcp, std::move(reply));
}

void Answerer::PassToUpstream(const Shares::Holder& holder, const Query& query, bool by_tcp,
                              std::function<void(std::string)> reply) {
  const auto fail = [query, by_tcp](const std::function<void(std::string)>& say) {
    say(MakeReply(query, {Rcode::kServerFailure, {}, {}}, false, BytesMax(query, by_tcp)));
  };
  if (!pending_.Take(holder)) {
    ++counts_.over_limit;
    return fail(reply);
  }
  upstream_.Ask(query, by_tcp,
                [this, holder, query, by_tcp, fail,
                 reply = std::move(reply)](std::optional<std::string> said) {
                  pending_.Give(holder);
                  ++(said ? counts_.passed_on : counts_.failed);
                  if (!said) return fail(reply);
                  reply(PassOn(*said, query, BytesMax(query, by_tcp)));
                });
}

}  // namespace strata::net
