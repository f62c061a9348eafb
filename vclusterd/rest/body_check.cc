#include "vclusterd/rest/body_check.h"

#include <exception>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "common/printable.h"

namespace strata::vcluster::rest {
namespace {

constexpr size_t kFaultsShownMax = 3;
constexpr size_t kPlaceBytesMax = 100;

// "<root>", "[limits]", "[0]" -> "limits.0"
std::string PlaceOf(const std::vector<std::string>& context) {
  std::string place;
  for (const std::string& step : context) {
    if (step.size() < 2 || step.front() != '[') continue;
    place += (place.empty() ? "" : ".") + step.substr(1, step.size() - 2);
  }
  return place.empty() ? "the body" : Printable(place, kPlaceBytesMax);
}

// With what references lead to in their place.
Json Resolved(const Json& schema, const std::map<std::string, Json>& named) {
  static constexpr std::string_view kPrefix = "#/components/schemas/";
  if (const auto reference = schema.find("$ref"); schema.is_object() && reference != schema.end()) {
    return Resolved(named.at(reference->get<std::string>().substr(kPrefix.size())), named);
  }
  if (!schema.is_structured()) return schema;
  Json resolved = schema;
  for (Json& part : resolved) part = Resolved(part, named);
  return resolved;
}

}  // namespace

BodyCheck::BodyCheck() = default;
BodyCheck::BodyCheck(BodyCheck&&) noexcept = default;
BodyCheck::~BodyCheck() = default;

Result<BodyCheck> BodyCheck::Of(const Json& schema, const std::map<std::string, Json>& named) {
  BodyCheck check;
  check.schema_ = std::make_unique<valijson::Schema>();
  try {
    const Json whole = Resolved(schema, named);
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(whole), *check.schema_);
  } catch (const std::exception& e) {
    return Error(Code::kInternal, std::string("a schema of the API: ") + e.what());
  }
  return check;
}

Status BodyCheck::operator()(const Json& body) const {
  valijson::Validator validator;
  valijson::ValidationResults results;
  if (validator.validate(*schema_, valijson::adapters::NlohmannJsonAdapter(body), &results)) {
    return Ok();
  }
  std::string message;
  size_t shown = 0;
  // The last ones repeat what is around the first.
  for (const auto& fault : results) {
    if (shown++ == kFaultsShownMax) break;
    if (fault.description.find("subschema") != std::string::npos) continue;
    message += (message.empty() ? "" : "; ") + PlaceOf(fault.context) + ": " +
               Printable(fault.description);
  }
  return Error(Code::kInvalidArgument,
               message.empty() ? "the body is not what is asked for" : message);
}

}  // namespace strata::vcluster::rest
