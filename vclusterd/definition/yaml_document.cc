#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

#include "common/printable.h"
#include "vclusterd/definition/document.h"

namespace strata::vcluster::file {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

Position PositionOf(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Whether the quoted text that starts at `at` ends in the file: yaml-cpp takes one that does not,
// and the rest of the file with it. True for texts that are in no quotes.
bool QuoteIsClosed(std::string_view text, size_t at) {
  if (at >= text.size()) return true;
  const char quote = text[at];
  if (quote != '"' && quote != '\'') return true;
  for (++at; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 == text.size() || text[at + 1] != quote) return true;
      ++at;  // '' is one of them inside.
    }
  }
  return false;
}

class YamlEvents : public YAML::EventHandler {
 public:
  explicit YamlEvents(std::string_view text) : text_(text) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Plain(mark, "", anchor)) builder_.Null(PositionOf(mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Plain(mark, "", 1); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!Plain(mark, tag, anchor)) return;
    if (tag == "!" && !QuoteIsClosed(text_, static_cast<size_t>(mark.pos))) {
      return builder_.Fail(PositionOf(mark), "the quote that begins here is not closed");
    }
    builder_.Scalar(PositionOf(mark), value, tag == "!");
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    if (Plain(mark, tag, anchor)) builder_.Begin(Value::Kind::kList, PositionOf(mark));
  }
  void OnSequenceEnd() override { builder_.End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    if (Plain(mark, tag, anchor)) builder_.Begin(Value::Kind::kMap, PositionOf(mark));
  }
  void OnMapEnd() override { builder_.End(); }

  TreeBuilder& builder() { return builder_; }

 private:
  // False and a fault for what Vcluster files do without: an alias makes much of little, and a tag
  // would change what a value is. "?" and "!" are yaml-cpp's own: no tag, and quoted.
  bool Plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      builder_.Fail(PositionOf(mark),
                    "anchors and aliases ('&' and '*') are not supported: keys at the top are "
                    "defaults of all roles; a text that begins so needs quotes");
    } else if (!tag.empty() && tag != "?" && tag != "!") {
      builder_.Fail(PositionOf(mark),
                    "tags ('!') are not supported: a text that begins so needs quotes");
    }
    return !builder_.fault();
  }

  std::string_view text_;
  TreeBuilder builder_;
};

// yaml-cpp's message in words for people who do not know how it reads.
std::string ReasonOf(const std::string& message) {
  static constexpr struct {
    std::string_view theirs;
    std::string_view ours;
  } kReasons[] = {
      {"end of map not found", "is not indented like the lines above it"},
      {"end of sequence not found", "is not indented like the items ('- …') above it"},
      {"illegal map value", "a ':' that cannot be here: a text with ': ' in it needs quotes"},
      {"illegal map key", "a key that cannot be here: look at the indentation"},
      {"illegal block entry", "a '- ' that cannot be here: items stand on lines of their own"},
      {"the referenced anchor is not defined",
       "aliases ('*') are not supported: a text that begins with '*' needs quotes"},
      {"unknown token", "a text that begins so needs quotes"},
      {"illegal flow end", "a ']' or '}' that closes nothing"},
      {"illegal EOF in scalar", "the file ends inside of a text: a quote is not closed"},
      {"illegal tab when looking for indentation", "tabs cannot indent: use spaces"},
  };
  for (const auto& reason : kReasons) {
    if (message == reason.theirs) return std::string(reason.ours);
  }
  return Printable(message, 200);
}

std::string_view LineAt(std::string_view text, int line) {
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

TreeBuilder::Fault FaultOf(const YAML::Exception& error, std::string_view text,
                           const TreeBuilder& builder) {
  const Position at = PositionOf(error.mark);
  if (error.msg.ends_with("flow not found")) {
    // Where the bracket is that misses its partner helps; where the file ends does not.
    const std::vector<Position> open = builder.OpenPlaces();
    for (auto place = open.rbegin(); place != open.rend(); ++place) {
      const std::string_view line = LineAt(text, place->line);
      const size_t column = static_cast<size_t>(place->column - 1);
      if (column >= line.size() || (line[column] != '[' && line[column] != '{')) continue;
      const std::string closing(line[column] == '[' ? "]" : "}");
      return {*place,
              std::string("the '") + line[column] + "' that begins here has no '" + closing + "'"};
    }
  }
  const std::string_view line = LineAt(text, at.line);
  const size_t indent = line.find_first_not_of(" \t");
  if (line.substr(0, indent).find('\t') != std::string_view::npos) {
    return {at, "tabs cannot indent: use spaces"};
  }
  return {at, ReasonOf(error.msg)};
}

Error ErrorOf(const std::string& file_name, const TreeBuilder::Fault& fault) {
  return Error(Code::kInvalidArgument, PlaceText(file_name, fault.at) + ": " + fault.reason);
}

std::optional<TreeBuilder::Fault> CheckBytes(std::string_view text) {
  if (text.size() > kFileBytesMax) {
    return TreeBuilder::Fault{{}, "is larger than 1 MiB: that is no Vcluster file"};
  }
  const size_t good = PrintablePrefix(text, "\r\n\t");
  if (good == text.size()) return std::nullopt;
  const std::string_view before = text.substr(0, good);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  const Position at{static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
                    static_cast<int>(good - line_start) + 1};
  return TreeBuilder::Fault{at, "a byte that is no text: " + Printable(text.substr(good, 1)) +
                                    " (the file must be UTF-8 without control characters)"};
}

}  // namespace

Result<Value> ReadYaml(std::string_view text, const std::string& file_name) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (const auto fault = CheckBytes(text)) return ErrorOf(file_name, *fault);
  YamlEvents events(text);
  TreeBuilder& builder = events.builder();
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    while (!builder.fault() && parser.HandleNextDocument(events)) {
    }
  } catch (const YAML::Exception& error) {
    if (!builder.fault()) return ErrorOf(file_name, FaultOf(error, text, builder));
  } catch (const std::exception& error) {
    return ErrorOf(file_name, {{}, std::string("cannot be read: ") + error.what()});
  }
  if (builder.fault()) return ErrorOf(file_name, *builder.fault());
  if (!builder.done()) return ErrorOf(file_name, {{}, "is empty"});
  return builder.Take();
}

}  // namespace strata::vcluster::file
