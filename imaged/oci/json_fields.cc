#include "imaged/oci/json_fields.h"

#include "common/json_text.h"
#include "common/printable.h"
#include "imaged/oci/documents.h"

namespace strata::imaged::oci {

Result<Json> ParseJson(std::string_view text, Json::value_t expected) {
  ASSIGN_OR_RETURN(Json json, ParseJsonText(text, kDocumentBytesMax, kDocumentDepthMax));
  if (json.type() != expected) {
    return Error(Code::kInvalidArgument, expected == Json::value_t::array
                                             ? "the document must be an array"
                                             : "the document must be an object");
  }
  return json;
}

Field Field::operator[](const char* key) const {
  std::string path = path_.empty() ? key : path_ + "." + key;
  if (json_ == nullptr || !json_->is_object()) return Field(nullptr, std::move(path));
  const auto it = json_->find(key);
  const bool absent = it == json_->end() || it->is_null();
  return Field(absent ? nullptr : &*it, std::move(path));
}

Error Field::Bad(const std::string& why) const {
  return Error(Code::kInvalidArgument, "the field '" + Printable(path_) + "' " + why);
}

Result<std::string> Field::Text() const {
  if (!present()) return std::string();
  if (!json_->is_string()) return Bad("must be a string");
  const auto& text = json_->get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos) return Bad("holds a NUL");
  return text;
}

Result<std::string> Field::RequiredText() const {
  ASSIGN_OR_RETURN(std::string text, Text());
  if (text.empty()) return Bad("is missing");
  return text;
}

Result<uint64_t> Field::Size() const {
  if (!present()) return Bad("is missing");
  if (!json_->is_number_unsigned()) return Bad("must be a whole number that is not negative");
  const auto size = json_->get<uint64_t>();
  if (size > static_cast<uint64_t>(INT64_MAX)) return Bad("is too large");
  return size;
}

Result<bool> Field::Flag() const {
  if (!present()) return false;
  if (!json_->is_boolean()) return Bad("must be true or false");
  return json_->get<bool>();
}

Result<std::vector<Field>> Field::Items(size_t max) const {
  std::vector<Field> items;
  if (!present()) return items;
  if (!json_->is_array()) return Bad("must be an array");
  if (json_->size() > max) {
    return Error(Code::kResourceExhausted,
                 "the field '" + path_ + "' has more than " + std::to_string(max) + " elements");
  }
  for (size_t i = 0; i < json_->size(); ++i) {
    items.push_back(Field(&(*json_)[i], path_ + "[" + std::to_string(i) + "]"));
  }
  return items;
}

Result<std::vector<std::string>> Field::Texts() const {
  constexpr size_t kTextsMax = 10'000;
  ASSIGN_OR_RETURN(const std::vector<Field> items, Items(kTextsMax));
  std::vector<std::string> texts;
  for (const Field& item : items) {
    ASSIGN_OR_RETURN(texts.emplace_back(), item.Text());
  }
  return texts;
}

Status Field::CheckObject() const {
  if (present() && json_->is_object()) return Ok();
  return Bad("must be an object");
}

Result<std::map<std::string, std::string>> Field::TextMap() const {
  std::map<std::string, std::string> texts;
  if (!present()) return texts;
  RETURN_IF_ERROR(CheckObject());
  for (const auto& [key, value] : json_->items()) {
    if (key.find('\0') != std::string::npos) return Bad("has a key with a NUL");
    ASSIGN_OR_RETURN(texts[key], Field(&value, path_ + "." + key).Text());
  }
  return texts;
}

Result<std::vector<std::string>> Field::Keys() const {
  std::vector<std::string> keys;
  if (!present()) return keys;
  RETURN_IF_ERROR(CheckObject());
  for (const auto& [key, value] : json_->items()) {
    if (key.find('\0') != std::string::npos) return Bad("has a key with a NUL");
    keys.push_back(key);
  }
  return keys;
}

}  // namespace strata::imaged::oci
