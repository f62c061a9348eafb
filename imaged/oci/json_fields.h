// Reads the fields of a foreign JSON document one by one, each fault named by the field's path. For
// the parsers of imaged/oci/documents.h alone. A field that is absent or null is empty.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::imaged::oci {

using Json = nlohmann::json;

// Parses within the limits of documents.h. kInvalidArgument: no JSON, no object (or no array where
// one is `expected`).
Result<Json> ParseJson(std::string_view text, Json::value_t expected = Json::value_t::object);

// A field of a document that outlives it.
class Field {
 public:
  explicit Field(const Json& document) : json_(&document) {}

  bool present() const { return json_ != nullptr; }
  const std::string& path() const { return path_; }

  // Absent when this is absent or no object; the fault is told when this is read.
  Field operator[](const char* key) const;

  Result<std::string> Text() const;
  Result<std::string> RequiredText() const;
  Result<uint64_t> Size() const;  // Required, and not negative.
  Result<bool> Flag() const;
  Result<std::vector<std::string>> Texts() const;
  Result<std::map<std::string, std::string>> TextMap() const;
  // The keys of an object whose values mean nothing, as OCI writes sets; ascending.
  Result<std::vector<std::string>> Keys() const;
  // The elements of an array of at most `max`.
  Result<std::vector<Field>> Items(size_t max) const;
  // kInvalidArgument unless it is an object.
  Status CheckObject() const;

  Error Bad(const std::string& why) const;

 private:
  Field(const Json* json, std::string path) : json_(json), path_(std::move(path)) {}
  const Json* json_;  // Null: absent.
  std::string path_;
};

}  // namespace strata::imaged::oci
