#include "tools/vclass/overlap.h"

#include <algorithm>
#include <set>

namespace strata::tools {
namespace {

constexpr size_t kHandedOutMin = 3;

// A content, and with whom it is: by number of the student, his first path.
struct Content {
  uint64_t bytes = 0;
  std::map<size_t, std::string> paths;
};

}  // namespace

Overlaps FindOverlaps(const std::vector<StudentFiles>& students, const OverlapOptions& options) {
  std::map<std::string, Content> contents;
  for (size_t i = 0; i < students.size(); ++i) {
    for (const ChangedFile& file : students[i].files) {
      if (file.object.empty() || file.bytes < options.bytes_min) continue;
      Content& content = contents[file.object];
      content.bytes = file.bytes;
      content.paths.emplace(i, file.path);
    }
  }
  Overlaps found;
  std::vector<uint64_t> own(students.size(), 0);
  std::map<std::pair<size_t, size_t>, Overlap> pairs;
  const double most = options.handed_out_above * static_cast<double>(students.size());
  for (const auto& [object, content] : contents) {
    const size_t holders = content.paths.size();
    if (holders >= kHandedOutMin && static_cast<double>(holders) > most) {
      ++found.handed_out;
      continue;
    }
    for (auto a = content.paths.begin(); a != content.paths.end(); ++a) {
      own[a->first] += content.bytes;
      for (auto b = std::next(a); b != content.paths.end(); ++b) {
        Overlap& pair = pairs[{a->first, b->first}];
        pair.bytes += content.bytes;
        pair.files.push_back({object, content.bytes, a->second, b->second, holders});
      }
    }
  }
  for (auto& [who, pair] : pairs) {
    pair.user = students[who.first].user;
    pair.other = students[who.second].user;
    const uint64_t fewer = std::min(own[who.first], own[who.second]);
    pair.share = fewer == 0 ? 0 : static_cast<double>(pair.bytes) / static_cast<double>(fewer);
    std::stable_sort(pair.files.begin(), pair.files.end(),
                     [](const CommonFile& a, const CommonFile& b) { return a.bytes > b.bytes; });
    found.pairs.push_back(std::move(pair));
  }
  std::stable_sort(found.pairs.begin(), found.pairs.end(), [](const Overlap& a, const Overlap& b) {
    return a.share != b.share ? a.share > b.share : a.bytes > b.bytes;
  });
  return found;
}

}  // namespace strata::tools
