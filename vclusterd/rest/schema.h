// Pieces of JSON Schema (draft 2020-12), as the tables of routes write them. They are used twice:
// every body is checked against them before a handler sees it (body_check.h), and they are in the
// OpenAPI document (open_api.h). Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace strata::vcluster::rest {

using Json = nlohmann::json;

namespace schema {

inline constexpr size_t kLineBytesMax = 500;
inline constexpr int64_t kWholeMax = int64_t{1} << 53;  // What every reader of JSON holds exactly.

Json Text(std::string description, size_t size_max = kLineBytesMax);
// One of these words.
Json Word(std::string description, std::vector<std::string> words);
Json Whole(std::string description, int64_t min = 0, int64_t max = kWholeMax);
Json Real(std::string description, double min, double max);
Json Flag(std::string description);
Json ListOf(Json item, std::string description, size_t items_max = 0);  // 0: no bound.
// A schema that the table of routes has by name.
Json Ref(const std::string& name);

// An object with these members and no others.
class Members {
 public:
  explicit Members(std::string description);
  Members& Must(const std::string& name, Json member);
  Members& May(const std::string& name, Json member);
  operator Json() const { return object_; }  // NOLINT: reads as the schema that it is.

 private:
  Json object_;
};

}  // namespace schema
}  // namespace strata::vcluster::rest
