// Reads the values of a document into variables and collects what is wrong with them, each fault
// with its place: one look at a file tells its author everything.
//
// A Field is a value with two names: `path` as it stands in the file ("limits.memory") and `model`
// as CheckDefinition calls it ("roles.*.limits.memory": of every role that has none of its own). A
// function that fails adds a fault and leaves its variable alone.
//
// Not thread-safe: one reader per document, which must outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "vclusterd/definition/choices.h"
#include "vclusterd/definition/document.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/words.h"

namespace strata::vcluster::file {

struct Field {
  const Value* value;
  Position at;  // Of its key, or of itself.
  std::string path;
  std::string model;
};

struct Key {
  std::string_view name;
  std::function<void(const Field&)> read;
};

class FieldReader {
 public:
  // `prefix` is put before every path in messages: where the document stands in another.
  FieldReader(const Value& root, std::string file_name, std::string prefix = {});

  Field root() const;

  // A map of these keys, each at most once; others are faults that name the nearest of `keys`.
  void Map(const Field& field, const std::vector<Key>& keys);
  // A map whose keys are the user's own, each at most once.
  void Entries(const Field& field,
               const std::function<void(const std::string&, const Field&)>& read);
  void List(const Field& field, const std::function<void(const Field&)>& read);

  void Bool(const Field& field, bool* out);
  // Of whatever fits into `out`; a range is CheckDefinition's to know.
  template <typename T>
  void Integer(const Field& field, T* out);
  void Number(const Field& field, double* out);
  // Words and texts. A number without quotes is a text only where `number_too`.
  void Text(const Field& field, std::string* out, bool number_too = false);
  void Texts(const Field& field, std::vector<std::string>* out, bool number_too = false);
  // A list of texts, or one text alone.
  void Words(const Field& field, std::vector<std::string>* out);
  void Bytes(const Field& field, uint64_t* out);
  void BitRate(const Field& field, uint64_t* out);
  void Duration(const Field& field, std::chrono::milliseconds* out);
  void Duration(const Field& field, std::chrono::seconds* out);  // Whole seconds.
  void Instant(const Field& field, std::optional<std::chrono::sys_seconds>* out);
  template <typename T, size_t N>
  void Choice(const Field& field, const Choices<T, N>& choices, T* out);

  void Fault(const Field& field, std::string reason);
  // What is called `model` stands at `field`.
  void Place(std::string model, const Field& field);
  // A fault that CheckDefinition found: told at the place of `model`, or of what holds it; not told
  // when what it speaks of could not be read.
  void FaultOfModel(const std::string& model, const std::string& reason);

  bool ok() const { return faults_.empty(); }
  // kInvalidArgument, a line for each fault in the file's order: "FILE:LINE:COLUMN: path: reason".
  Error ToError() const;

 private:
  struct Told {
    Position at;
    std::string path;
    std::string reason;
    auto operator<=>(const Told&) const = default;
  };
  struct Known {
    Position at;
    std::string path;
  };

  Field Child(const Field& parent, std::string_view key, const Value& value, Position at);
  bool Is(const Field& field, Value::Kind kind, std::string_view wanted);
  // An unquoted scalar's text: the only thing that numbers and booleans may be.
  bool Bare(const Field& field, std::string_view wanted, std::string_view* text);
  void UnknownKey(const Field& field, const std::string& key, const std::vector<Key>& keys);
  template <typename T>
  void Parsed(const Field& field, const Result<T>& result, T* out);
  bool ScalarText(const Field& field, std::string_view wanted, std::string_view* text);
  void AddUnread(const std::string& model);
  bool DependsOnUnread(const std::string& model) const;

  const Value& root_;
  const std::string file_name_;
  const std::string prefix_;
  std::vector<Told> faults_;
  std::set<std::pair<std::string, std::string>> unread_;  // Role and key (SubjectOf).
  std::map<std::string, Known> places_;                   // By model.
};

template <typename T, size_t N>
void FieldReader::Choice(const Field& field, const Choices<T, N>& choices, T* out) {
  std::vector<std::string_view> words;
  for (const auto& [choice, text] : choices) words.push_back(text);
  std::string_view written;
  if (!ScalarText(field, OneOf(words), &written)) return;
  for (const auto& [choice, text] : choices) {
    if (text == written) {
      *out = choice;
      return;
    }
  }
  Fault(field, Quoted(written) + " is not " + OneOf(words));
}

}  // namespace strata::vcluster::file
