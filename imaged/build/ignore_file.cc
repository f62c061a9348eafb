#include "imaged/build/ignore_file.h"

#include <algorithm>

namespace strata::imaged::build {
namespace {

// One item of a pattern: what it takes.
struct Item {
  enum Kind { kChar, kAny, kClass, kStar, kDoubleStar } kind = kChar;
  char c = 0;
  std::string_view members;  // Of a class, without the brackets.
};

bool InClass(std::string_view members, char c) {
  bool negated = false;
  if (members.starts_with('^') || members.starts_with('!')) {
    negated = true;
    members.remove_prefix(1);
  }
  bool found = false;
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i] == '\\' && i + 1 < members.size()) ++i;
    const char first = members[i];
    char last = first;
    if (i + 2 < members.size() && members[i + 1] == '-') {
      last = members[i + 2];
      i += 2;
    }
    found = found || (c >= first && c <= last);
  }
  return found != negated;
}

std::vector<Item> Items(std::string_view pattern) {
  std::vector<Item> items;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '*' && i + 1 < pattern.size() && pattern[i + 1] == '*') {
      while (i + 1 < pattern.size() && pattern[i + 1] == '*') ++i;
      // "**/" takes no, one or more directories, slash and all.
      items.push_back({Item::kDoubleStar, '*', {}});
      if (i + 1 < pattern.size() && pattern[i + 1] == '/') {
        items.back().c = '/';
        ++i;
      }
    } else if (c == '*') {
      items.push_back({Item::kStar, 0, {}});
    } else if (c == '?') {
      items.push_back({Item::kAny, 0, {}});
    } else if (c == '[' && pattern.find(']', i + 2) != std::string_view::npos) {
      const size_t end = pattern.find(']', i + 2);
      items.push_back({Item::kClass, 0, pattern.substr(i + 1, end - i - 1)});
      i = end;
    } else if (c == '\\' && i + 1 < pattern.size()) {
      items.push_back({Item::kChar, pattern[++i], {}});
    } else {
      items.push_back({Item::kChar, c, {}});
    }
  }
  return items;
}

bool TakesOne(const Item& item, char c) {
  if (item.kind == Item::kChar) return c == item.c;
  if (c == '/') return false;
  return item.kind == Item::kAny || (item.kind == Item::kClass && InClass(item.members, c));
}

}  // namespace

bool MatchesPattern(std::string_view pattern, std::string_view path) {
  const std::vector<Item> items = Items(pattern);
  // reached[j]: the items so far take the first j characters.
  std::vector<char> reached(path.size() + 1, 0);
  reached[0] = 1;
  for (const Item& item : items) {
    std::vector<char> next(path.size() + 1, 0);
    bool open = false;  // A star began before here and goes on.
    for (size_t j = 0; j <= path.size(); ++j) {
      const char before = j > 0 ? path[j - 1] : '/';
      if (item.kind == Item::kStar) {
        open = (open && before != '/') || reached[j] != 0;
        next[j] = open;
      } else if (item.kind == Item::kDoubleStar) {
        open = open || reached[j] != 0;
        next[j] = reached[j] != 0 || (open && (item.c != '/' || before == '/'));
      } else {
        next[j] = j > 0 && reached[j - 1] != 0 && TakesOne(item, before);
      }
    }
    reached.swap(next);
  }
  return reached[path.size()] != 0;
}

bool IsPattern(std::string_view text) { return text.find_first_of("*?[") != std::string::npos; }

std::string CleanPath(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  std::string clean;
  for (const std::string_view part : parts) {
    if (!clean.empty()) clean.push_back('/');
    clean.append(part);
  }
  return clean;
}

Result<IgnoreFile> IgnoreFile::Parse(std::string_view text, const std::string& path) {
  if (text.size() > kIgnoreBytesMax) {
    return Error(Code::kResourceExhausted, path + ": is larger than 1 MiB");
  }
  IgnoreFile file;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with('#')) continue;
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    line = line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
    Pattern pattern;
    if (line.starts_with('!')) {
      pattern.exception = true;
      line.remove_prefix(1);
    }
    pattern.text = CleanPath(line);
    if (pattern.text.empty()) continue;  // The root is always there.
    if (pattern.text.size() > kPatternBytesMax || file.patterns_.size() == kIgnorePatternsMax) {
      return Error(Code::kResourceExhausted, path + ":" + std::to_string(number) +
                                                 ": patterns have at most 1024 bytes, and a file "
                                                 "2000 of them");
    }
    file.has_exceptions_ = file.has_exceptions_ || pattern.exception;
    file.patterns_.push_back(std::move(pattern));
  }
  return file;
}

bool IgnoreFile::Ignores(std::string_view path) const {
  bool ignored = false;
  for (const Pattern& pattern : patterns_) {
    if (pattern.exception != ignored) continue;  // It could not change anything.
    bool matches = MatchesPattern(pattern.text, path);
    for (size_t slash = path.rfind('/'); !matches && slash != std::string_view::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      matches = MatchesPattern(pattern.text, path.substr(0, slash));
    }
    if (matches) ignored = !pattern.exception;
  }
  return ignored;
}

}  // namespace strata::imaged::build
