#include "vclusterd/definition/document.h"

#include "common/printable.h"

namespace strata::vcluster::file {

const Value* Value::Find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string PlaceText(const std::string& file_name, Position at) {
  if (at.line == 0) return file_name;
  return file_name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

Result<Value> ReadYamlOrJson(std::string_view text, const std::string& file_name) {
  Result<Value> root = ReadYaml(text, file_name);
  if (root.ok()) return root;
  // yaml-cpp lacks a corner of JSON: characters beyond U+FFFF as two \u. Faults in such a file are
  // told without their lines.
  Result<Value> json = ReadJson(text);
  return json.ok() ? std::move(json) : std::move(root);
}

bool TreeBuilder::KeyIsDue() const {
  return !open_.empty() && open_.back().value.kind == Value::Kind::kMap && !open_.back().key;
}

bool TreeBuilder::Count(Position at) {
  if (fault_) return false;
  if (root_) Fail(at, "a second document begins here (after '---'): a file holds one Vcluster");
  if (++values_ > kValuesMax) {
    Fail(at, "more than " + std::to_string(kValuesMax) + " values: that is no Vcluster");
  }
  return !fault_;
}

void TreeBuilder::Begin(Value::Kind kind, Position at) {
  if (!Count(at)) return;
  if (KeyIsDue()) return Fail(at, "a key must be a word, not a list or a map");
  if (open_.size() >= kDepthMax) {
    return Fail(at, "nested more than " + std::to_string(kDepthMax) + " levels deep");
  }
  Frame& frame = open_.emplace_back();
  frame.value.kind = kind;
  frame.value.at = at;
}

void TreeBuilder::End() {
  if (fault_) return;
  Value value = std::move(open_.back().value);
  open_.pop_back();
  Add(std::move(value));
}

void TreeBuilder::Scalar(Position at, std::string text, bool quoted) {
  if (!Count(at)) return;
  if (text.size() > kTextBytesMax) {
    return Fail(at, "a text of " + std::to_string(text.size()) + " bytes, of at most " +
                        std::to_string(kTextBytesMax));
  }
  if (PrintablePrefix(text, "\n\t") != text.size()) {
    return Fail(at, "holds control characters: '" + Printable(text, 60) + "'");
  }
  if (KeyIsDue()) {
    open_.back().key.emplace(std::move(text), at);
    return;
  }
  Value value;
  value.kind = Value::Kind::kScalar;
  value.at = at;
  value.text = std::move(text);
  value.quoted = quoted;
  Add(std::move(value));
}

void TreeBuilder::Null(Position at) {
  if (!Count(at)) return;
  if (KeyIsDue()) return Fail(at, "a key is missing before the ':', or it is the word 'null'");
  Value value;
  value.at = at;
  Add(std::move(value));
}

void TreeBuilder::Fail(Position at, std::string reason) {
  if (!fault_) fault_ = Fault{at, std::move(reason)};
}

void TreeBuilder::Add(Value value) {
  if (open_.empty()) {
    root_ = std::move(value);
    return;
  }
  Frame& frame = open_.back();
  if (frame.value.kind == Value::Kind::kList) {
    frame.value.items.push_back(std::move(value));
    return;
  }
  frame.value.entries.push_back({std::move(frame.key->first), frame.key->second, std::move(value)});
  frame.key.reset();
}

std::vector<Position> TreeBuilder::OpenPlaces() const {
  std::vector<Position> places;
  for (const Frame& frame : open_) places.push_back(frame.value.at);
  return places;
}

}  // namespace strata::vcluster::file
