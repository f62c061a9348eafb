#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

// DEVICE, PREFIX and ADDRESS stand for what they say.
constexpr char kChains[] = R"(
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    iifname != { "lo", "DEVICE" } ip saddr PREFIX drop
    iifname != { "lo", "DEVICE" } ip daddr PREFIX drop
    iifname "DEVICE" ip daddr != ADDRESS drop
    iifname "DEVICE" ip saddr != PREFIX drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "DEVICE" drop
    oifname "DEVICE" drop
  }
  chain output {
    type filter hook output priority filter; policy accept;
    oifname != { "lo", "DEVICE" } ip saddr PREFIX drop
    oifname != { "lo", "DEVICE" } ip daddr PREFIX drop
  }
)";

std::string Filled(std::string text, std::string_view word, const std::string& value) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + value.size())) {
    text.replace(at, word.size(), value);
  }
  return text;
}

}  // namespace

std::string FabricTableName(const std::string& instance) { return "stratafabric_" + instance; }

std::string RemovalOfFabricRuleset(const std::string& instance) {
  const std::string table = "table inet " + FabricTableName(instance);
  // Declared first: deleting a table that is not there would fail the transaction.
  return table + "\ndelete " + table + "\n";
}

std::string MakeFabricRuleset(const SecureFabric& fabric) {
  const std::string chains =
      Filled(Filled(Filled(kChains, "DEVICE", fabric.device()), "PREFIX", fabric.prefix.ToString()),
             "ADDRESS", fabric.address.ToString());
  return RemovalOfFabricRuleset(fabric.instance) + "table inet " +
         FabricTableName(fabric.instance) + " {" + chains + "}\n";
}

}  // namespace strata::net
