#include "net/rule_table.h"

#include <algorithm>
#include <iterator>

namespace strata::net {
namespace {

using Names = std::vector<std::string>;

Names Without(const Names& all, const Names& others) {
  Names rest;
  std::set_difference(all.begin(), all.end(), others.begin(), others.end(),
                      std::back_inserter(rest));
  return rest;
}

template <typename Value>
Names NamesOf(const std::map<std::string, Value>& map) {
  Names names;
  names.reserve(map.size());
  for (const auto& [name, value] : map) names.push_back(name);
  return names;
}

std::string Joined(const Names& elements) {
  std::string text;
  for (const std::string& element : elements) text += element + ",\n";
  return text;
}

std::string FormatTable(const RuleTable& table, const std::vector<RuleCounter>& counters) {
  std::string text = "table " + table.Spec() + " {\n";
  for (const std::string& name : table.counters) {
    text += "  counter " + name + " {";
    const auto known = std::find_if(counters.begin(), counters.end(), [&](const RuleCounter& one) {
      return one.family == table.family && one.name == name;
    });
    if (known != counters.end()) {
      text += " packets " + std::to_string(known->packets) + " bytes " +
              std::to_string(known->bytes) + " ";
    }
    text += "}\n";
  }
  for (const auto& [name, limit] : table.limits) text += "  limit " + name + " { " + limit + " }\n";
  for (const auto& [name, collection] : table.collections) {
    text += "  " + collection.kind + " " + name + " {\n    " + collection.type + ";\n";
    // nft refuses "elements = { }".
    if (!collection.elements.empty()) {
      text += "    elements = {\n" + Joined(collection.elements) + "    }\n";
    }
    text += "  }\n";
  }
  for (const auto& [name, chain] : table.chains) {
    text += "  chain " + name + " {\n";
    if (!chain.hook.empty()) text += "    " + chain.hook + "\n";
    for (const std::string& rule : chain.rules) text += "    " + rule + "\n";
    text += "  }\n";
  }
  return text + "}\n";
}

// Writes one table's part of a transaction: what is used is there before who uses it, and goes
// after.
class Difference {
 public:
  Difference(const RuleTable& from, const RuleTable& to) : from_(from), to_(to) {}

  bool IsPossible() const {
    if (from_.Spec() != to_.Spec() || from_.chains.empty() || to_.chains.empty()) return false;
    for (const auto& [name, chain] : to_.chains) {
      const auto before = from_.chains.find(name);
      if (before == from_.chains.end() ? !chain.hook.empty() : before->second.hook != chain.hook) {
        return false;
      }
    }
    for (const auto& [name, chain] : from_.chains) {
      if (!chain.hook.empty() && !to_.chains.contains(name)) return false;
    }
    for (const auto& [name, collection] : to_.collections) {
      const auto before = from_.collections.find(name);
      if (before != from_.collections.end() &&
          (before->second.kind != collection.kind || before->second.type != collection.type)) {
        return false;
      }
    }
    for (const auto& [name, limit] : to_.limits) {
      const auto before = from_.limits.find(name);
      if (before != from_.limits.end() && before->second != limit) return false;
    }
    return true;
  }

  std::string Format() {
    AddObjects();
    EmptyChains();
    ChangeElements();
    FillChains();
    RemoveObjects();
    return text_;
  }

 private:
  void Line(const std::string& verb, const std::string& what, const std::string& rest) {
    text_ += verb + " " + what + " " + to_.Spec() + " " + rest + "\n";
  }

  void AddObjects() {
    for (const std::string& name : Without(to_.counters, from_.counters)) {
      Line("add", "counter", name);
    }
    for (const std::string& name : Without(NamesOf(to_.limits), NamesOf(from_.limits))) {
      Line("add", "limit", name + " { " + to_.limits.at(name) + " ; }");
    }
    for (const std::string& name : Without(NamesOf(to_.collections), NamesOf(from_.collections))) {
      const RuleCollection& added = to_.collections.at(name);
      Line("add", added.kind, name + " { " + added.type + " ; }");
    }
    for (const std::string& name : Without(NamesOf(to_.chains), NamesOf(from_.chains))) {
      Line("add", "chain", name);
    }
  }

  // Also those that go.
  void EmptyChains() {
    for (const auto& [name, chain] : from_.chains) {
      const auto after = to_.chains.find(name);
      if (after == to_.chains.end() || after->second.rules != chain.rules) {
        Line("flush", "chain", name);
      }
    }
  }

  void ChangeElements() {
    static const RuleCollection kNone;
    for (const auto& [name, before] : from_.collections) {
      const auto after = to_.collections.find(name);
      if (after != to_.collections.end() && after->second.elements == before.elements) continue;
      const Names gone = Without(before.elements,
                                 (after == to_.collections.end() ? kNone : after->second).elements);
      if (!gone.empty()) Line("delete", "element", name + " {\n" + Joined(gone) + "}");
    }
    for (const auto& [name, after] : to_.collections) {
      const auto before = from_.collections.find(name);
      if (before != from_.collections.end() && before->second.elements == after.elements) continue;
      const Names added = Without(
          after.elements, (before == from_.collections.end() ? kNone : before->second).elements);
      if (!added.empty()) Line("add", "element", name + " {\n" + Joined(added) + "}");
    }
  }

  void FillChains() {
    for (const auto& [name, chain] : to_.chains) {
      const auto before = from_.chains.find(name);
      if (before != from_.chains.end() && before->second.rules == chain.rules) continue;
      for (const std::string& rule : chain.rules) Line("add", "rule", name + " " + rule);
    }
  }

  void RemoveObjects() {
    for (const std::string& name : Without(NamesOf(from_.chains), NamesOf(to_.chains))) {
      Line("delete", "chain", name);
    }
    for (const std::string& name : Without(NamesOf(from_.collections), NamesOf(to_.collections))) {
      Line("delete", from_.collections.at(name).kind, name);
    }
    for (const std::string& name : Without(NamesOf(from_.limits), NamesOf(to_.limits))) {
      Line("delete", "limit", name);
    }
    for (const std::string& name : Without(from_.counters, to_.counters)) {
      Line("delete", "counter", name);
    }
  }

  const RuleTable& from_;
  const RuleTable& to_;
  std::string text_;
};

void SortAndDropTwins(Names* names) {
  std::sort(names->begin(), names->end());
  names->erase(std::unique(names->begin(), names->end()), names->end());
}

}  // namespace

std::vector<std::string> RulesOf(std::string_view text) {
  std::vector<std::string> rules;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (!line.empty() && line.front() != '#') rules.emplace_back(line);
  }
  return rules;
}

void Normalize(Ruleset* ruleset) {
  for (RuleTable& table : ruleset->tables) {
    SortAndDropTwins(&table.counters);
    for (auto& [name, collection] : table.collections) SortAndDropTwins(&collection.elements);
  }
}

std::string FormatRuleset(const Ruleset& ruleset, const std::vector<RuleCounter>& counters) {
  std::string text;
  // Declared first: deleting a table that is not there would fail the transaction.
  for (const RuleTable& table : ruleset.tables) {
    text += "table " + table.Spec() + "\ndelete table " + table.Spec() + "\n";
  }
  for (const RuleTable& table : ruleset.tables) {
    if (!table.chains.empty()) text += FormatTable(table, counters);
  }
  return text;
}

std::optional<std::string> FormatDifference(const Ruleset& from, const Ruleset& to) {
  if (from.tables.size() != to.tables.size()) return std::nullopt;
  std::string text;
  for (size_t i = 0; i < to.tables.size(); ++i) {
    if (from.tables[i] == to.tables[i]) continue;
    Difference difference(from.tables[i], to.tables[i]);
    if (!difference.IsPossible()) return std::nullopt;
    text += difference.Format();
  }
  return text;
}

}  // namespace strata::net
