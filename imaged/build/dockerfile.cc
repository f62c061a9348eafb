#include "imaged/build/dockerfile.h"

#include <algorithm>
#include <set>

#include "common/printable.h"

namespace strata::imaged::build {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

const std::set<std::string, std::less<>>& Keywords() {
  static const std::set<std::string, std::less<>> keywords = {
      "ADD",  "ARG",         "CMD",    "COPY",       "ENTRYPOINT", "ENV",
      "FROM", "EXPOSE",      "LABEL",  "MAINTAINER", "ONBUILD",    "RUN",
      "USER", "HEALTHCHECK", "VOLUME", "WORKDIR",    "STOPSIGNAL", "SHELL"};
  return keywords;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string Changed(std::string_view text, char first, char last, int by) {
  std::string changed(text);
  for (char& c : changed) {
    if (c >= first && c <= last) c = static_cast<char>(c + by);
  }
  return changed;
}
std::string Upper(std::string_view text) { return Changed(text, 'a', 'z', 'A' - 'a'); }
std::string Lower(std::string_view text) { return Changed(text, 'A', 'Z', 'a' - 'A'); }

// The first word, which is taken off `*text` with the blanks behind it.
std::string_view TakeWord(std::string_view* text) {
  const std::string_view word = text->substr(0, text->find_first_of(kBlanks));
  *text = Trim(text->substr(word.size()));
  return word;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : rest_(text) { file_.path = path; }

  Result<Dockerfile> Run() {
    RETURN_IF_ERROR(CheckText());
    RETURN_IF_ERROR(Directives());
    while (true) {
      ASSIGN_OR_RETURN(const bool more, Next());
      if (!more) break;
    }
    if (file_.stages.empty()) {
      return Error(Code::kInvalidArgument, file_.path + ": no FROM, so there is nothing to build");
    }
    return std::move(file_);
  }

 private:
  Error Fault(Code code, const std::string& message) const {
    return Error(code, file_.path + ":" + std::to_string(start_line_) + ": " + message);
  }
  Error Fault(const std::string& message) const { return Fault(Code::kInvalidArgument, message); }

  Status CheckText() const {
    if (rest_.size() > kDockerfileBytesMax) {
      return Error(Code::kResourceExhausted, file_.path + ": is larger than 1 MiB");
    }
    const size_t zero = rest_.find('\0');
    if (zero == std::string_view::npos) return Ok();
    const auto line = std::count(rest_.begin(), rest_.begin() + static_cast<long>(zero), '\n') + 1;
    return Error(Code::kInvalidArgument,
                 file_.path + ":" + std::to_string(line) + ": a zero byte: this is no text");
  }

  // Without its end of line. nullopt: no more.
  std::optional<std::string_view> Line() {
    if (rest_.empty()) return std::nullopt;
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  // "# key=value" before anything else.
  Status Directives() {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    while (true) {
      const std::string_view before = rest_;
      const auto line = Line();
      start_line_ = line_;
      std::string_view text = Trim(line.value_or(""));
      const size_t equals = text.find('=');
      if (!text.starts_with('#') || equals == std::string_view::npos) return PutBack(before);
      const std::string key = Lower(Trim(text.substr(1, equals - 1)));
      const std::string_view value = Trim(text.substr(equals + 1));
      if (key == "escape") {
        if (value != "\\" && value != "`") return Fault("escape is \\ or `");
        file_.escape = value[0];
      } else if (key != "syntax" && key != "check") {
        return PutBack(before);
      }
    }
  }

  Status PutBack(std::string_view before) {
    if (rest_.size() != before.size()) --line_;
    rest_ = before;
    return Ok();
  }

  // Cuts the escape at the end of a line that goes on in the next one.
  bool Continues(std::string_view* line) const {
    const size_t last = line->find_last_not_of(" \t");
    if (last == std::string_view::npos || (*line)[last] != file_.escape) return false;
    if (last > 0 && (*line)[last - 1] == file_.escape) return false;
    *line = line->substr(0, last);
    return true;
  }

  // One instruction. False: there is no more.
  Result<bool> Next() {
    std::string text;
    bool open = false;
    while (true) {
      const auto read = Line();
      if (!read) break;
      std::string_view line = *read;
      const std::string_view trimmed = Trim(line);
      if (trimmed.empty() || trimmed.starts_with('#')) continue;  // Also between joined lines.
      if (!open) {
        start_line_ = line_;
        line = line.substr(line.find_first_not_of(kBlanks));
      }
      open = Continues(&line);
      text += line;
      if (!open) break;
    }
    if (Trim(text).empty()) return false;
    RETURN_IF_ERROR(Add(Trim(text)));
    return true;
  }

  Status Add(std::string_view text) {
    Instruction made;
    made.line = start_line_;
    made.keyword = Upper(TakeWord(&text));
    if (!Keywords().contains(made.keyword)) {
      return Fault("'" + Printable(made.keyword, 40) + "' is no instruction");
    }
    RETURN_IF_ERROR(TakeFlags(&text, &made));
    made.text = text;
    if (made.text.empty()) return Fault(made.keyword + " needs something behind it");
    if (text.starts_with('[')) made.words = ParseJsonWords(text);
    const bool may_have_heredocs =
        made.keyword == "RUN" || made.keyword == "COPY" || made.keyword == "ADD";
    if (may_have_heredocs && !made.words) RETURN_IF_ERROR(TakeHeredocs(&made));
    if (++instructions_ > kInstructionsMax) {
      return Fault(Code::kResourceExhausted,
                   "more than " + std::to_string(kInstructionsMax) + " instructions");
    }
    return Place(std::move(made));
  }

  static bool HasFlags(const std::string& keyword) {
    return keyword == "FROM" || keyword == "RUN" || keyword == "COPY" || keyword == "ADD" ||
           keyword == "HEALTHCHECK";
  }

  Status TakeFlags(std::string_view* text, Instruction* made) const {
    while (HasFlags(made->keyword) && text->starts_with("--")) {
      const std::string_view word = TakeWord(text).substr(2);
      if (word.empty()) return Ok();  // "--" ends them.
      const size_t equals = word.find('=');
      Flag flag{std::string(word.substr(0, equals)), ""};
      if (equals != std::string_view::npos) flag.value = word.substr(equals + 1);
      made->flags.push_back(std::move(flag));
      if (made->flags.size() > kWordsMax) return Fault(Code::kResourceExhausted, "too many flags");
    }
    return Ok();
  }

  // "<<NAME", "<<-NAME", "<<'NAME'" among the words: their lines follow.
  Status TakeHeredocs(Instruction* made) {
    if (made->text.find("<<") == std::string::npos) return Ok();
    const auto words = SplitWords(made->text, file_.escape);
    if (!words.ok()) return Ok();  // A shell may know what it means.
    for (std::string_view word : *words) {
      if (!word.starts_with("<<") || word.find('<', 2) != std::string_view::npos) continue;
      word.remove_prefix(2);
      const bool strip_tabs = word.starts_with('-');
      if (strip_tabs) word.remove_prefix(1);
      Heredoc heredoc;
      heredoc.expand = word.find_first_of("'\"") == std::string_view::npos;
      for (const char c : word) {
        if (c != '\'' && c != '"') heredoc.name.push_back(c);
      }
      if (heredoc.name.empty()) continue;
      RETURN_IF_ERROR(TakeHeredoc(strip_tabs, &heredoc));
      made->heredocs.push_back(std::move(heredoc));
    }
    return Ok();
  }

  Status TakeHeredoc(bool strip_tabs, Heredoc* heredoc) {
    while (const auto read = Line()) {
      std::string_view line = *read;
      if (strip_tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == heredoc->name) return Ok();
      heredoc->content.append(line).push_back('\n');
    }
    return Fault("the line '" + Printable(heredoc->name, 40) + "' that ends <<" +
                 Printable(heredoc->name, 40) + " is missing");
  }

  Status Place(Instruction made) {
    if (made.keyword == "FROM") return StartStage(std::move(made));
    if (!file_.stages.empty()) {
      file_.stages.back().instructions.push_back(std::move(made));
      return Ok();
    }
    if (made.keyword != "ARG") return Fault("only ARG may stand before the first FROM");
    file_.global_arguments.push_back(std::move(made));
    return Ok();
  }

  Status StartStage(Instruction made) {
    Stage stage;
    for (const Flag& flag : made.flags) {
      if (flag.name != "platform") return Fault("FROM has no --" + Printable(flag.name, 40));
      stage.platform = flag.value;
    }
    std::string_view rest = made.text;
    stage.base = TakeWord(&rest);
    if (!rest.empty()) {
      if (Lower(TakeWord(&rest)) != "as" || rest.empty()) return Fault("FROM IMAGE [AS NAME]");
      stage.name = Lower(TakeWord(&rest));
      const bool good = rest.empty() && stage.name[0] >= 'a' && stage.name[0] <= 'z' &&
                        stage.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
                            std::string::npos;
      if (!good) return Fault("a stage's name is of letters, digits, '-', '_' and '.'");
    }
    if (file_.stages.size() == kStagesMax) {
      return Fault(Code::kResourceExhausted, "more than " + std::to_string(kStagesMax) + " stages");
    }
    for (const Stage& earlier : file_.stages) {
      if (!stage.name.empty() && earlier.name == stage.name) {
        return Fault("line " + std::to_string(earlier.from.line) + " has a stage '" + stage.name +
                     "' already");
      }
    }
    stage.from = std::move(made);
    file_.stages.push_back(std::move(stage));
    return Ok();
  }

  std::string_view rest_;
  Dockerfile file_;
  int line_ = 0;
  int start_line_ = 0;
  size_t instructions_ = 0;
};

}  // namespace

Result<Dockerfile> ParseDockerfile(std::string_view text, const std::string& path) {
  return Parser(text, path).Run();
}

Error ErrorAt(const std::string& path, const Instruction& at, Code code,
              const std::string& message) {
  return Error(code, path + ":" + std::to_string(at.line) + ": " + message);
}

Result<std::vector<std::string>> SplitWords(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  bool in_word = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && kBlanks.find(c) != std::string_view::npos) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
      if (words.size() > kWordsMax) {
        return Error(Code::kResourceExhausted, "more than " + std::to_string(kWordsMax) + " words");
      }
      continue;
    }
    in_word = true;
    word.push_back(c);
    if (c == escape && quote != '\'' && i + 1 < text.size()) {
      word.push_back(text[++i]);
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
  }
  if (quote != 0) return Error(Code::kInvalidArgument, std::string("a ") + quote + " is open");
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace strata::imaged::build
