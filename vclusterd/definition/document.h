// YAML and JSON as a tree of values that know where they stand. Foreign bytes in, within limits:
// what comes out is small, shallow, text without control characters, and has no aliases. Repeated
// keys are kept: the reader of a map names them. Pure functions, thread-safe; nothing throws.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace strata::vcluster::file {

inline constexpr size_t kFileBytesMax = 1 << 20;
inline constexpr size_t kDepthMax = 16;
inline constexpr size_t kValuesMax = 20'000;
inline constexpr size_t kTextBytesMax = 64 << 10;  // Of one value.

struct Position {
  int line = 0;    // From 1; 0: not known.
  int column = 0;  // From 1, in bytes.
  auto operator<=>(const Position&) const = default;
};

struct Entry;

struct Value {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Position at;
  std::string text;     // Of a scalar, as written.
  bool quoted = false;  // A scalar that can only be a text: in quotes, or a block.
  std::vector<Value> items;
  std::vector<Entry> entries;  // In the file's order.

  const Value* Find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Position at;
  Value value;
};

// "FILE:LINE:COLUMN", or less of it.
std::string PlaceText(const std::string& file_name, Position at);

// One document, also of JSON, which is a part of YAML. kInvalidArgument "FILE:LINE:COLUMN: why".
Result<Value> ReadYaml(std::string_view text, const std::string& file_name);

// Positions are not known. kInvalidArgument.
Result<Value> ReadJson(std::string_view text);

// As ReadYaml; what yaml-cpp lacks of JSON is read too, then without positions.
Result<Value> ReadYamlOrJson(std::string_view text, const std::string& file_name);

// Makes a tree of what a parser reports, within the limits above. The first fault stays, and all
// that comes after it is ignored.
class TreeBuilder {
 public:
  void Begin(Value::Kind kind, Position at);  // kList or kMap.
  void End();
  // A key where a key is due.
  void Scalar(Position at, std::string text, bool quoted);
  void Null(Position at);
  void Fail(Position at, std::string reason);

  struct Fault {
    Position at;
    std::string reason;
  };
  const std::optional<Fault>& fault() const { return fault_; }
  // Where the lists and maps that are not ended begin, the innermost last.
  std::vector<Position> OpenPlaces() const;
  // REQUIRES: no fault, everything that began has ended, and there was a value.
  Value Take() { return std::move(*root_); }
  bool done() const { return root_.has_value(); }

 private:
  struct Frame {
    Value value;
    std::optional<std::pair<std::string, Position>> key;  // Of a map: its value comes next.
  };
  bool KeyIsDue() const;
  bool Count(Position at);
  void Add(Value value);

  std::vector<Frame> open_;
  std::optional<Value> root_;
  std::optional<Fault> fault_;
  size_t values_ = 0;
};

}  // namespace strata::vcluster::file
