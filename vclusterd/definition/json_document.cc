#include <nlohmann/json.hpp>

#include "vclusterd/definition/document.h"

namespace strata::vcluster::file {
namespace {

using Json = nlohmann::json;

// What nlohmann's parser reports. It stops where a function answers false.
class JsonEvents : public nlohmann::json_sax<Json> {
 public:
  bool null() override {
    builder_.Null({});
    return GoOn();
  }
  bool boolean(bool value) override { return Plain(value ? "true" : "false"); }
  bool number_integer(int64_t value) override { return Plain(std::to_string(value)); }
  bool number_unsigned(uint64_t value) override { return Plain(std::to_string(value)); }
  bool number_float(double, const std::string& written) override { return Plain(written); }
  bool string(std::string& value) override {
    builder_.Scalar({}, std::move(value), true);
    return GoOn();
  }
  bool binary(Json::binary_t&) override { return false; }  // Not in JSON's text.
  bool key(std::string& value) override { return string(value); }
  bool start_object(size_t) override { return Begin(Value::Kind::kMap); }
  bool end_object() override { return End(); }
  bool start_array(size_t) override { return Begin(Value::Kind::kList); }
  bool end_array() override { return End(); }
  bool parse_error(size_t at, const std::string&, const Json::exception&) override {
    builder_.Fail({}, "is no JSON at byte " + std::to_string(at));
    return false;
  }

  TreeBuilder& builder() { return builder_; }

 private:
  bool GoOn() const { return !builder_.fault(); }
  bool Plain(std::string text) {
    builder_.Scalar({}, std::move(text), false);
    return GoOn();
  }
  bool Begin(Value::Kind kind) {
    builder_.Begin(kind, {});
    return GoOn();
  }
  bool End() {
    builder_.End();
    return GoOn();
  }

  TreeBuilder builder_;
};

}  // namespace

Result<Value> ReadJson(std::string_view text) {
  if (text.size() > kFileBytesMax) return Error(Code::kInvalidArgument, "more than 1 MiB of JSON");
  try {
    JsonEvents events;
    const bool parsed = Json::sax_parse(text, &events);
    TreeBuilder& builder = events.builder();
    if (builder.fault()) return Error(Code::kInvalidArgument, builder.fault()->reason);
    if (!parsed || !builder.done()) return Error(Code::kInvalidArgument, "is no JSON");
    return builder.Take();
  } catch (const std::exception& error) {
    return Error(Code::kInvalidArgument, std::string("is no JSON: ") + error.what());
  }
}

}  // namespace strata::vcluster::file
