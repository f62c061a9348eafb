#include "vclusterd/definition/words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/printable.h"

namespace strata::vcluster {
namespace {

constexpr size_t kComparedMax = 64;  // Longer words are not compared.

// REQUIRES: neither is longer than kComparedMax.
size_t Distance(std::string_view a, std::string_view b) {
  using Row = std::array<size_t, kComparedMax + 1>;
  // Rows of the table of costs: this one, the one before and the one before that.
  Row rows[3];
  Row* row = &rows[0];
  Row* before = &rows[1];
  Row* earlier = &rows[2];
  for (size_t j = 0; j <= b.size(); ++j) (*row)[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(earlier, before);
    std::swap(before, row);
    (*row)[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = (*before)[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      (*row)[j] = std::min({(*before)[j] + 1, (*row)[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        (*row)[j] = std::min((*row)[j], (*earlier)[j - 2] + 1);
      }
    }
  }
  return (*row)[b.size()];
}

}  // namespace

std::string Quoted(std::string_view text) { return "'" + Printable(text, 60) + "'"; }

std::string OneOf(const std::vector<std::string_view>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view nearest;
  if (word.size() > kComparedMax) return nearest;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kComparedMax) continue;
    // At least so many letters are added or left out.
    if (std::max(word.size(), candidate.size()) >= std::min(word.size(), candidate.size()) + best) {
      continue;
    }
    const size_t distance = Distance(word, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view nearest = Nearest(word, candidates);
  if (nearest.empty()) return "";
  return " (did you mean '" + std::string(nearest) + "'?)";
}

}  // namespace strata::vcluster
