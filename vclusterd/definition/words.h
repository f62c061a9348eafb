// Words for messages: what a user wrote, and what he may have meant. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strata::vcluster {

// 'text', cut when it is long; control characters are escaped.
std::string Quoted(std::string_view text);

// "a, b or c".
std::string OneOf(const std::vector<std::string_view>& words);

// The candidate that `word` differs from in only a few letters (optimal string alignment distance:
// letters left out, added, replaced, neighbours swapped); empty: none is near.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates);

// " (did you mean 'master'?)", or nothing.
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace strata::vcluster
