#include "imaged/build/variables.h"

#include <algorithm>

namespace strata::imaged::build {
namespace {

constexpr int kDepthMax = 20;
constexpr std::string_view kBlanks = " \t\r\n\v\f";

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameChar(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

enum class Quotes { kTake, kKeep };

class Expander {
 public:
  Expander(std::string_view text, const VariableLookup& lookup, char escape, Quotes quotes)
      : text_(text), lookup_(lookup), escape_(escape), quotes_(quotes) {}

  // Up to `stop` (which is taken), or the end when it is 0.
  Result<std::string> Run(char stop, int depth) {
    if (depth > kDepthMax) return Error(Code::kResourceExhausted, "variables in too many braces");
    std::string out;
    while (at_ < text_.size()) {
      if (out.size() > kExpandedBytesMax) {
        return Error(Code::kResourceExhausted, "its variables make it larger than 1 MiB");
      }
      const char c = text_[at_];
      if (stop != 0 && c == stop) {
        ++at_;
        return out;
      }
      if (c == '$') {
        ASSIGN_OR_RETURN(const std::string value, Variable(depth));
        AppendValue(value, false, &out);
      } else if (c == '\'' && quotes_ == Quotes::kTake) {
        RETURN_IF_ERROR(Single(&out));
      } else if (c == '"' && quotes_ == Quotes::kTake) {
        RETURN_IF_ERROR(Double(depth, &out));
      } else if (c == escape_) {
        Escaped(&out);
      } else {
        ++at_;
        Append(c, false, &out);
      }
    }
    if (stop != 0) return Error(Code::kInvalidArgument, std::string("'") + stop + "' is missing");
    return out;
  }

  // Words instead of one text: blanks outside of quotes end them.
  Result<std::vector<std::string>> RunWords() {
    splitting_ = true;
    ASSIGN_OR_RETURN(const std::string last, Run(0, 0));
    (void)last;  // It was collected as the others were.
    FinishWord();
    if (words_.size() > kWordsMax) return Error(Code::kResourceExhausted, "too many words");
    return std::move(words_);
  }

 private:
  static constexpr size_t kWordsMax = 2000;

  // Everything that comes out passes here, so that words can be told apart.
  void Append(char c, bool quoted, std::string* out) {
    out->push_back(c);
    if (!splitting_ || nested_ > 0) return;
    if (!quoted && kBlanks.find(c) != std::string_view::npos) {
      FinishWord();
    } else {
      word_.push_back(c);
      in_word_ = true;
    }
  }
  void AppendValue(std::string_view value, bool quoted, std::string* out) {
    for (const char c : value) Append(c, quoted, out);
  }
  void FinishWord() {
    if (in_word_ && words_.size() <= kWordsMax) words_.push_back(word_);
    word_.clear();
    in_word_ = false;
  }

  void Escaped(std::string* out) {
    ++at_;
    if (at_ == text_.size()) return Append(escape_, false, out);
    const char c = text_[at_++];
    if (quotes_ == Quotes::kKeep && c != '$') Append(escape_, true, out);
    Append(c, true, out);
  }

  Status Single(std::string* out) {
    const size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) return Error(Code::kInvalidArgument, "a ' is open");
    in_word_ = in_word_ || nested_ == 0;
    AppendValue(text_.substr(at_ + 1, end - at_ - 1), true, out);
    at_ = end + 1;
    return Ok();
  }

  Status Double(int depth, std::string* out) {
    ++at_;
    in_word_ = in_word_ || nested_ == 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return Ok();
      }
      if (c == '$') {
        ASSIGN_OR_RETURN(const std::string value, Variable(depth));
        AppendValue(value, true, out);
        continue;
      }
      ++at_;
      if (c == escape_ && at_ < text_.size()) {
        const char next = text_[at_];
        if (next != '"' && next != '$' && next != escape_) Append(c, true, out);
        Append(next, true, out);
        ++at_;
      } else {
        Append(c, true, out);
      }
    }
    return Error(Code::kInvalidArgument, "a \" is open");
  }

  std::string Name() {
    const size_t start = at_;
    while (at_ < text_.size() && IsNameChar(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  Result<std::string> Variable(int depth) {
    ++at_;  // The dollar.
    if (at_ < text_.size() && text_[at_] == '{') return Braced(depth);
    if (at_ == text_.size() || !IsNameStart(text_[at_])) return std::string("$");
    return lookup_(Name()).value_or("");
  }

  Result<std::string> Braced(int depth) {
    ++at_;
    const std::string name = Name();
    if (name.empty()) return Error(Code::kInvalidArgument, "${ needs a name behind it");
    const std::optional<std::string> value = lookup_(name);
    if (at_ == text_.size()) return Error(Code::kInvalidArgument, "'}' is missing");
    char modifier = text_[at_++];
    if (modifier == '}') return value.value_or("");
    const bool empty_counts = modifier == ':';
    if (empty_counts && at_ < text_.size()) modifier = text_[at_++];
    if (modifier != '-' && modifier != '+' && modifier != '?') {
      return Error(Code::kUnsupported,
                   "${" + name + "…}: of modifiers only :-, :+, :?, -, + and ? are known");
    }
    ++nested_;
    auto word = Run('}', depth + 1);
    --nested_;
    if (!word.ok()) return word;
    const bool set = value.has_value() && !(empty_counts && value->empty());
    if (modifier == '-') return set ? *value : *word;
    if (modifier == '+') return set ? *word : std::string();
    if (set) return *value;
    return Error(Code::kInvalidArgument, name + ": " + (word->empty() ? "is not set" : *word));
  }

  const std::string_view text_;
  const VariableLookup& lookup_;
  const char escape_;
  const Quotes quotes_;
  size_t at_ = 0;
  int nested_ = 0;  // In the word of a brace: it is given out as the variable's value.
  bool splitting_ = false;
  bool in_word_ = false;
  std::string word_;
  std::vector<std::string> words_;
};

}  // namespace

Result<std::string> ExpandWord(std::string_view text, const VariableLookup& lookup, char escape) {
  return Expander(text, lookup, escape, Quotes::kTake).Run(0, 0);
}

Result<std::vector<std::string>> ExpandWords(std::string_view text, const VariableLookup& lookup,
                                             char escape) {
  return Expander(text, lookup, escape, Quotes::kTake).RunWords();
}

Result<std::string> ExpandLines(std::string_view text, const VariableLookup& lookup, char escape) {
  return Expander(text, lookup, escape, Quotes::kKeep).Run(0, 0);
}

}  // namespace strata::imaged::build
