#include "vclusterd/definition/field_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <set>

#include "common/byte_size.h"
#include "common/printable.h"
#include "vclusterd/definition/units.h"

namespace strata::vcluster::file {
namespace {

std::string_view KindText(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return "nothing";
    case Value::Kind::kScalar:
      return value.quoted ? "a text" : "one value";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kMap:
      return "a map of keys";
  }
  return "";
}

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// What YAML 1.2's core schema takes for a number or a boolean, and other readers of the file too.
bool LooksLikeNumber(std::string_view text) {
  if (IsOneOf(text, {"true", "True", "TRUE", "false", "False", "FALSE"})) return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (IsOneOf(text, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return true;
  const bool radix = text.starts_with("0x") || text.starts_with("0o");
  if (radix && text.size() > 2) {
    return text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  }
  if (text.empty() || text.find_first_of("0123456789") > 1) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

// What people write, and where or how it is written here, where `known` are the keys.
std::string_view MeantBy(std::string_view key, const std::vector<std::string_view>& known) {
  static constexpr std::pair<std::string_view, std::string_view> kMeant[] = {
      {"replicas", "count"},
      {"replicas", "nodes"},
      {"instances", "count"},
      {"instances", "nodes"},
      {"number", "count"},
      {"nodes", "count"},
      {"count", "nodes"},
      {"environment", "env"},
      {"cmd", "command"},
      {"entrypoint", "command"},
      {"depends-on", "after"},
      {"depends_on", "after"},
      {"healthcheck", "ready"},
      {"hostname", "name"},
      {"run", "command"},
      {"command", "run"},
      {"cmd", "run"},
      {"script", "run"},
      {"needs", "after"},
      {"role", "on"},
      {"workdir", "directory"},
      {"master", "roles: {master: …}"},
      {"driver", "roles: {driver: …}"},
      {"worker", "roles: {worker: …}"},
      {"cpus", "limits: {cpus: …}"},
      {"cpu", "limits: {cpus: …}"},
      {"memory", "limits: {memory: …}"},
      {"disk", "limits: {disk: …}"},
      {"processes", "limits: {processes: …}"},
      {"network", "limits: {network: …}"},
      {"io", "limits: {io: …}"},
      {"on-create", "hooks: {on-create: …}"},
      {"on-destroy", "hooks: {on-destroy: …}"},
      {"on-recovery", "hooks: {on-recovery: …}"},
      {"near", "placement: {near: …}"},
      {"apart", "placement: {apart: …}"},
      {"require", "placement: {require: …}"},
      {"priority", "placement: {priority: …}"},
      {"rank", "placement: {rank: …}"},
  };
  for (const auto& [written, meant] : kMeant) {
    const std::string_view first = meant.substr(0, meant.find(':'));
    const bool fits = std::find(known.begin(), known.end(), first) != known.end();
    if (written == key && fits) return meant;
  }
  return {};
}

// What a model's name speaks of: "roles.worker.limits.memory" of `limits` of `worker`.
struct Subject {
  std::string_view role;  // Empty: of the whole. "*": of all roles.
  std::string_view key;   // Empty: of the role.
};

Subject SubjectOf(std::string_view model) {
  constexpr std::string_view kRoles = "roles.";
  Subject subject;
  if (model.starts_with(kRoles)) {
    model.remove_prefix(kRoles.size());
    subject.role = model.substr(0, model.find('.'));
    model.remove_prefix(std::min(model.size(), subject.role.size() + 1));
  }
  subject.key = model.substr(0, model.find_first_of(".["));
  return subject;
}

}  // namespace

FieldReader::FieldReader(const Value& root, std::string file_name, std::string prefix)
    : root_(root), file_name_(std::move(file_name)), prefix_(std::move(prefix)) {
  places_[""] = {root.at, ""};
}

Field FieldReader::root() const { return {&root_, root_.at, "", ""}; }

Field FieldReader::Child(const Field& parent, std::string_view key, const Value& value,
                         Position at) {
  const auto joined = [&](const std::string& front) {
    return front.empty() ? std::string(key) : front + "." + std::string(key);
  };
  Field child{&value, at, joined(parent.path), joined(parent.model)};
  Place(child.model, child);
  return child;
}

void FieldReader::Place(std::string model, const Field& field) {
  places_.emplace(std::move(model), Known{field.at, field.path});
}

void FieldReader::Fault(const Field& field, std::string reason) {
  faults_.push_back({field.at, field.path, std::move(reason)});
  AddUnread(field.model);
}

bool FieldReader::Is(const Field& field, Value::Kind kind, std::string_view wanted) {
  if (field.value->kind == kind) return true;
  if (field.value->kind == Value::Kind::kNull) {
    Fault(field, "has no value: it should be " + std::string(wanted));
  } else {
    Fault(field,
          "should be " + std::string(wanted) + ", not " + std::string(KindText(*field.value)));
  }
  return false;
}

void FieldReader::Map(const Field& field, const std::vector<Key>& keys) {
  if (field.value->kind != Value::Kind::kMap) {
    std::vector<std::string_view> names;
    for (const Key& key : keys) names.push_back(key.name);
    Is(field, Value::Kind::kMap, "a map of keys (" + OneOf(names) + ")");
    return;
  }
  Entries(field, [&](const std::string& name, const Field& child) {
    for (const Key& key : keys) {
      if (key.name == name) return key.read(child);
    }
    UnknownKey(child, name, keys);
  });
}

void FieldReader::UnknownKey(const Field& field, const std::string& key,
                             const std::vector<Key>& keys) {
  std::vector<std::string_view> names;
  for (const Key& known : keys) names.push_back(known.name);
  std::string_view meant = MeantBy(key, names);
  if (meant.empty()) meant = Nearest(key, names);
  if (!meant.empty()) {
    // That one is not missing: it is misspelt.
    const std::string holder = field.model.substr(0, field.model.size() - key.size());
    AddUnread(holder + std::string(meant.substr(0, meant.find(':'))));
    return Fault(field, "there is no such key (did you mean '" + std::string(meant) + "'?)");
  }
  Fault(field, "there is no such key here: known are " + OneOf(names));
}

void FieldReader::Entries(const Field& field,
                          const std::function<void(const std::string&, const Field&)>& read) {
  if (!Is(field, Value::Kind::kMap, "a map of keys")) return;
  std::map<std::string_view, Position> seen;
  for (const Entry& entry : field.value->entries) {
    const Field child = Child(field, entry.key, entry.value, entry.at);
    const auto [first, is_new] = seen.emplace(entry.key, entry.at);
    if (!is_new) {
      Fault(child, first->second.line == 0
                       ? "is given twice"
                       : "is given twice, first in line " + std::to_string(first->second.line));
      continue;
    }
    read(entry.key, child);
  }
}

void FieldReader::List(const Field& field, const std::function<void(const Field&)>& read) {
  if (!Is(field, Value::Kind::kList, "a list (such as [a, b])")) return;
  for (size_t i = 0; i < field.value->items.size(); ++i) {
    const Value& item = field.value->items[i];
    const std::string index = "[" + std::to_string(i) + "]";
    const Field child{&item, item.at, field.path + index, field.model + index};
    Place(child.model, child);
    read(child);
  }
}

bool FieldReader::ScalarText(const Field& field, std::string_view wanted, std::string_view* text) {
  if (!Is(field, Value::Kind::kScalar, wanted)) return false;
  *text = field.value->text;
  return true;
}

bool FieldReader::Bare(const Field& field, std::string_view wanted, std::string_view* text) {
  if (!ScalarText(field, wanted, text)) return false;
  if (!field.value->quoted) return true;
  Fault(field, "should be " + std::string(wanted) + ", without quotes");
  return false;
}

void FieldReader::Bool(const Field& field, bool* out) {
  std::string_view text;
  if (!Bare(field, "true or false", &text)) return;
  if (text != "true" && text != "false") {
    return Fault(field, Quoted(text) + " is not true or false");
  }
  *out = text == "true";
}

template <typename T>
void FieldReader::Integer(const Field& field, T* out) {
  std::string_view text;
  if (!Bare(field, "a whole number", &text)) return;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return Fault(field, Quoted(text) + " is too large");
  if (error != std::errc() || end != text.data() + text.size()) {
    return Fault(field, Quoted(text) + " is no whole number");
  }
  *out = value;
}
template void FieldReader::Integer(const Field& field, int* out);
template void FieldReader::Integer(const Field& field, uint16_t* out);
template void FieldReader::Integer(const Field& field, uint32_t* out);
template void FieldReader::Integer(const Field& field, uint64_t* out);

void FieldReader::Number(const Field& field, double* out) {
  std::string_view text;
  if (!Bare(field, "a number", &text)) return;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return Fault(field, Quoted(text) + " is no number");
  }
  *out = value == 0 ? 0 : value;  // No -0.
}

void FieldReader::Text(const Field& field, std::string* out, bool number_too) {
  std::string_view text;
  if (!ScalarText(field, "a text", &text)) return;
  if (!number_too && !field.value->quoted && LooksLikeNumber(text)) {
    return Fault(field, Quoted(text) + " is a number or a truth value: a text needs quotes");
  }
  *out = text;
}

void FieldReader::Texts(const Field& field, std::vector<std::string>* out, bool number_too) {
  std::vector<std::string> texts;
  List(field, [&](const Field& item) { Text(item, &texts.emplace_back(), number_too); });
  *out = std::move(texts);
}

void FieldReader::Words(const Field& field, std::vector<std::string>* out) {
  if (field.value->kind != Value::Kind::kScalar) return Texts(field, out);
  std::string word;
  Text(field, &word);
  *out = {std::move(word)};
}

template <typename T>
void FieldReader::Parsed(const Field& field, const Result<T>& result, T* out) {
  if (!result.ok()) return Fault(field, result.error().message());
  *out = *result;
}

void FieldReader::Bytes(const Field& field, uint64_t* out) {
  std::string_view text;
  if (ScalarText(field, "a size (such as 4G)", &text)) Parsed(field, ParseBytes(text), out);
}

void FieldReader::BitRate(const Field& field, uint64_t* out) {
  std::string_view text;
  if (ScalarText(field, "a rate (such as 100Mbit)", &text)) {
    Parsed(field, ParseBitRate(text), out);
  }
}

void FieldReader::Duration(const Field& field, std::chrono::milliseconds* out) {
  std::string_view text;
  if (ScalarText(field, "a duration (such as 90s or 5m)", &text)) {
    Parsed(field, ParseDuration(text), out);
  }
}

void FieldReader::Duration(const Field& field, std::chrono::seconds* out) {
  std::chrono::milliseconds duration = *out;
  Duration(field, &duration);
  if (duration.count() % 1000 != 0) {
    return Fault(field, Quoted(field.value->text) + " is not a whole number of seconds");
  }
  *out = std::chrono::duration_cast<std::chrono::seconds>(duration);
}

void FieldReader::Instant(const Field& field, std::optional<std::chrono::sys_seconds>* out) {
  std::string_view text;
  if (!ScalarText(field, "a time (such as 2026-12-31T18:00:00Z)", &text)) return;
  const auto instant = ParseInstant(text);
  if (!instant.ok()) return Fault(field, instant.error().message());
  *out = *instant;
}

bool FieldReader::DependsOnUnread(const std::string& model) const {
  const auto unread = [&](std::string_view role, std::string_view key) {
    return unread_.contains({std::string(role), std::string(key)});
  };
  const Subject subject = SubjectOf(model);
  // A default at the top is of all roles, and so are the names of roles and volumes.
  if (unread("", "") || unread("", subject.key)) return true;
  if (subject.role.empty()) return false;
  if (unread("", "roles")) return true;
  const bool counts = IsOneOf(subject.key, {"count", "autoscale", "ports"});
  for (const std::string_view role : {subject.role, std::string_view("*")}) {
    if (unread(role, "") || unread(role, subject.key)) return true;
    if (counts && (unread(role, "count") || unread(role, "autoscale"))) return true;
  }
  return false;
}

void FieldReader::AddUnread(const std::string& model) {
  const Subject subject = SubjectOf(model);
  unread_.emplace(subject.role, subject.key);
}

void FieldReader::FaultOfModel(const std::string& model, const std::string& reason) {
  if (DependsOnUnread(model)) return;
  // The longest front that has a place, of the role itself or of the defaults for all.
  for (size_t size = model.size();; size = model.find_last_of(".[", size - 1)) {
    if (size == std::string::npos) size = 0;
    const std::string front = model.substr(0, size);
    std::string of_all = front;
    if (const size_t role_end = front.find('.', 6);
        front.starts_with("roles.") && role_end != std::string::npos) {
      of_all = "roles.*" + front.substr(role_end);
    }
    for (const std::string& known : {front, of_all}) {
      const auto place = places_.find(known);
      if (place == places_.end()) continue;
      std::string rest = model.substr(size);
      if (place->second.path.empty() && rest.starts_with('.')) rest.erase(0, 1);
      faults_.push_back({place->second.at, place->second.path + rest, reason});
      return;
    }
  }
}

Error FieldReader::ToError() const {
  // The same default may be wrong for many roles: it is told once.
  const std::set<Told> sorted(faults_.begin(), faults_.end());
  std::string text;
  size_t shown = 0;
  for (const Told& fault : sorted) {
    if (shown == kFaultsShownMax) break;
    if (shown++ > 0) text += "\n";
    text += PlaceText(file_name_, fault.at) + ": ";
    const std::string path =
        fault.path.empty() ? prefix_.substr(0, prefix_.find('.')) : prefix_ + fault.path;
    if (!path.empty()) text += Printable(path, 200) + ": ";
    text += fault.reason;
  }
  if (sorted.size() > shown) {
    text += "\n" + file_name_ + ": and " + std::to_string(sorted.size() - shown) + " more faults";
  }
  return Error(Code::kInvalidArgument, text);
}

}  // namespace strata::vcluster::file
