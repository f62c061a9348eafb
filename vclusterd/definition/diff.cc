#include "vclusterd/definition/diff.h"

#include <algorithm>
#include <set>

#include "common/printable.h"
#include "vclusterd/definition/to_json.h"
#include "vclusterd/definition/yaml_text.h"

namespace strata::vcluster {
namespace {

using file::Defaults;
using file::FlowText;
using file::RoleToJson;
using file::TopToJson;

using Json = nlohmann::ordered_json;
using Changes = std::vector<DefinitionChange>;

constexpr size_t kShownMax = 100;  // Of a value.

ChangeEffect EffectOfTopKey(std::string_view key) {
  return key == "name" || key == "nodes-max" ? ChangeEffect::kRefused : ChangeEffect::kLive;
}

ChangeEffect EffectOfRoleKey(std::string_view key) {
  if (key == "image" || key == "images") return ChangeEffect::kRecreate;
  for (const std::string_view at_start : {"env", "command", "hooks", "ready", "after", "volumes"}) {
    if (key == at_start) return ChangeEffect::kNextStart;
  }
  return ChangeEffect::kLive;
}

std::string TextOf(const Json* value) { return value == nullptr ? "" : FlowText(*value); }

const Json* Find(const Json* map, const std::string& key) {
  if (map == nullptr || !map->is_object()) return nullptr;
  const auto found = map->find(key);
  return found == map->end() ? nullptr : &*found;
}

// Keys of both, those of `to` first; a key that is only in `from` stands behind the one before it
// there, so that the order is a file's.
std::vector<std::string> KeysOf(const Json* from, const Json* to) {
  std::vector<std::string> keys;
  if (to != nullptr) {
    for (const auto& [key, value] : to->items()) keys.push_back(key);
  }
  if (from == nullptr) return keys;
  auto behind = keys.begin();
  for (const auto& [key, value] : from->items()) {
    const auto found = std::find(keys.begin(), keys.end(), key);
    behind = std::next(found == keys.end() ? keys.insert(behind, key) : found);
  }
  return keys;
}

// Differences of two values under one key. Maps of maps are compared `depth` levels down.
void Compare(const std::string& path, const Json* from, const Json* to, int depth,
             ChangeEffect effect, Changes* out) {
  const bool maps =
      depth > 0 && (from == nullptr || from->is_object()) && (to == nullptr || to->is_object());
  if (maps) {
    for (const std::string& key : KeysOf(from, to)) {
      Compare(path + "." + key, Find(from, key), Find(to, key), depth - 1, effect, out);
    }
    return;
  }
  const std::string before = TextOf(from);
  const std::string after = TextOf(to);
  if (before != after) out->push_back({path, before, after, effect});
}

void CompareKeys(const std::string& front, const Json& from, const Json& to, int depth,
                 ChangeEffect (*effect_of)(std::string_view), Changes* out) {
  for (const std::string& key : KeysOf(&from, &to)) {
    Compare(front + key, Find(&from, key), Find(&to, key), depth, effect_of(key), out);
  }
}

std::string NodesText(const Role& role) {
  return std::to_string(role.count) + (role.count == 1 ? " node of " : " nodes of ") + role.image;
}

// The roles' (or volumes') names in `list` that the other has too, in one line.
template <typename T>
std::string CommonNames(const std::vector<T>& list, const std::vector<T>& other) {
  Json names = Json::array();
  for (const T& item : list) {
    const bool common = std::any_of(other.begin(), other.end(),
                                    [&](const T& theirs) { return theirs.name == item.name; });
    if (common) names.push_back(item.name);
  }
  return FlowText(names);
}

// Only the order: what comes and goes is told by itself.
template <typename T>
void CompareOrder(const std::string& path, const std::vector<T>& from, const std::vector<T>& to,
                  Changes* out) {
  const std::string before = CommonNames(from, to);
  const std::string after = CommonNames(to, from);
  if (before != after) out->push_back({path, before, after, ChangeEffect::kLive});
}

void CompareVolumes(const Definition& from, const Definition& to, Changes* out) {
  const auto missing_in = [](const Definition& definition, const Volume& volume) {
    return std::find(definition.volumes.begin(), definition.volumes.end(), volume) ==
           definition.volumes.end();
  };
  for (const Volume& volume : to.volumes) {
    if (missing_in(from, volume)) {
      out->push_back({"volumes." + volume.name, "", "new", ChangeEffect::kNextStart});
    }
  }
  for (const Volume& volume : from.volumes) {
    if (missing_in(to, volume)) {
      out->push_back({"volumes." + volume.name, "its data", "", ChangeEffect::kNextStart});
    }
  }
  CompareOrder("volumes", from.volumes, to.volumes, out);
}

std::string_view EffectText(ChangeEffect effect) {
  switch (effect) {
    case ChangeEffect::kLive:
      return "at once";
    case ChangeEffect::kNextStart:
      return "when a node starts next";
    case ChangeEffect::kRecreate:
      return "in nodes that are made anew";
    case ChangeEffect::kRefused:
      return "cannot change";
  }
  return "";
}

}  // namespace

Changes DiffDefinitions(const Definition& from, const Definition& to) {
  Changes changes;
  CompareKeys("", TopToJson(from, Defaults::kKeep), TopToJson(to, Defaults::kKeep), 0,
              EffectOfTopKey, &changes);
  CompareVolumes(from, to, &changes);
  CompareOrder("roles", from.roles, to.roles, &changes);
  for (const Role& role : to.roles) {
    const std::string path = "roles." + role.name;
    const Role* before = from.FindRole(role.name);
    if (before == nullptr) {
      changes.push_back({path, "", NodesText(role), ChangeEffect::kLive});
      continue;
    }
    CompareKeys(path + ".", RoleToJson(*before, Defaults::kKeep), RoleToJson(role, Defaults::kKeep),
                1, EffectOfRoleKey, &changes);
  }
  for (const Role& role : from.roles) {
    if (to.FindRole(role.name) == nullptr) {
      changes.push_back({"roles." + role.name, NodesText(role), "", ChangeEffect::kLive});
    }
  }
  return changes;
}

std::string FormatChanges(const Changes& changes) {
  const auto shown = [](const std::string& text) {
    return text.empty() ? std::string("(none)") : Printable(text, kShownMax);
  };
  std::string text;
  for (const DefinitionChange& change : changes) {
    text += change.path + ": " + shown(change.from) + " -> " + shown(change.to) + " (" +
            std::string(EffectText(change.effect)) + ")\n";
  }
  return text;
}

}  // namespace strata::vcluster
