#include "vclusterd/providers/provider_answers.h"

#include <cmath>
#include <set>

#include "common/json_text.h"
#include "common/printable.h"
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kDepthMax = 8;
constexpr double kPriceMax = 1e6;
constexpr size_t kErrorTextMax = 500;

Error Wrong(const std::string& what) {
  return Error(Code::kInvalidArgument, "the answer: " + what);
}

// An object; what it says of an error is one.
Result<Json> ParseAnswer(std::string_view text) {
  ASSIGN_OR_RETURN(Json json, ParseJsonText(text, kAnswerBytesMax, kDepthMax), "the answer");
  if (!json.is_object()) return Wrong("it is no object");
  const auto error = json.find("error");
  if (error == json.end()) return json;
  if (!error->is_string()) return Wrong("'error' is no text");
  return Error(Code::kUnavailable, Printable(error->get_ref<const std::string&>(), kErrorTextMax));
}

Result<std::string> TextOf(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) {
    return Wrong("'" + std::string(key) + "' is no text");
  }
  const auto& text = found->get_ref<const std::string&>();
  if (text.empty() || text.size() > kProviderTextMax || PrintablePrefix(text) != text.size()) {
    return Wrong("'" + std::string(key) + "' is empty, too long, or not printable");
  }
  return text;
}

// 0 to `max`; `least`: also not less than this.
Result<double> NumberOf(const Json& json, const char* key, double least, double max) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) {
    return Wrong("'" + std::string(key) + "' is no number");
  }
  const double value = found->get<double>();
  if (!std::isfinite(value) || value < least || value > max) {
    return Wrong("'" + std::string(key) + "' is out of range");
  }
  return value;
}

Result<const Json*> ListOf(const Json& json, const char* key, size_t size_max) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) {
    return Wrong("'" + std::string(key) + "' is no list");
  }
  if (found->size() > size_max) return Wrong("'" + std::string(key) + "' is too long");
  return &*found;
}

Result<Offer> ParseOffer(const Json& json) {
  if (!json.is_object()) return Wrong("an offer is no object");
  Offer offer;
  ASSIGN_OR_RETURN(offer.name, TextOf(json, "name"));
  ASSIGN_OR_RETURN(offer.cpus, NumberOf(json, "cpus", 0.01, kSchedulerCpusMax), offer.name);
  const auto bytes_max = static_cast<double>(kSchedulerBytesMax);
  ASSIGN_OR_RETURN(const double memory, NumberOf(json, "memory_bytes", 1, bytes_max), offer.name);
  ASSIGN_OR_RETURN(const double disk, NumberOf(json, "disk_bytes", 1, bytes_max), offer.name);
  ASSIGN_OR_RETURN(offer.price_per_hour, NumberOf(json, "price_per_hour", 0, kPriceMax),
                   offer.name);
  offer.memory_bytes = static_cast<uint64_t>(memory);
  offer.disk_bytes = static_cast<uint64_t>(disk);
  if (!json.contains("labels")) return offer;
  ASSIGN_OR_RETURN(const Json* labels, ListOf(json, "labels", kLabelsMax), offer.name);
  for (const Json& label : *labels) {
    if (!label.is_string()) return Wrong(offer.name + ": a label is no text");
    const auto& text = label.get_ref<const std::string&>();
    if (text.empty() || text.size() > kTextSizeMax || PrintablePrefix(text) != text.size()) {
      return Wrong(offer.name + ": a label is empty, too long, or not printable");
    }
    offer.labels.push_back(text);
  }
  return offer;
}

}  // namespace

Result<std::vector<Offer>> ParseOffers(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseAnswer(text));
  ASSIGN_OR_RETURN(const Json* list, ListOf(json, "offers", kOffersMax));
  std::vector<Offer> offers;
  std::set<std::string> names;
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN(Offer offer, ParseOffer(item));
    if (!names.insert(offer.name).second) return Wrong("offer " + offer.name + " is there twice");
    offers.push_back(std::move(offer));
  }
  return offers;
}

Result<std::string> ParseStarted(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseAnswer(text));
  return TextOf(json, "id");
}

Status ParseStopped(std::string_view text) {
  RETURN_IF_ERROR(ParseAnswer(text));
  return Ok();
}

Result<std::vector<Machine>> ParseMachines(std::string_view text, const std::string& tag_prefix) {
  ASSIGN_OR_RETURN(const Json json, ParseAnswer(text));
  ASSIGN_OR_RETURN(const Json* list, ListOf(json, "machines", kMachinesMax));
  std::vector<Machine> machines;
  std::set<std::string> ids;
  for (const Json& item : *list) {
    if (!item.is_object()) return Wrong("a machine is no object");
    Machine machine;
    ASSIGN_OR_RETURN(machine.id, TextOf(item, "id"));
    ASSIGN_OR_RETURN(machine.tag, TextOf(item, "tag"));
    if (!ids.insert(machine.id).second) return Wrong("machine " + machine.id + " is there twice");
    if (machine.tag.starts_with(tag_prefix)) machines.push_back(std::move(machine));
  }
  return machines;
}

}  // namespace strata::vcluster
