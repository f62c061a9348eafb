// What collected changes of students have in common, by content: whatever a file is called, and
// wherever it lies, the same bytes are the same object. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace strata::tools {

struct ChangedFile {
  std::string path;
  std::string object;  // Digest of its content; empty: none, it is no file or has few bytes.
  uint64_t bytes = 0;
};

struct StudentFiles {
  std::string user;
  std::vector<ChangedFile> files;  // Added or changed, beyond the template.
};

struct CommonFile {
  std::string object;
  uint64_t bytes = 0;
  std::string path;        // With the first of the two…
  std::string other_path;  // …and with the other.
  size_t holders = 0;      // So many students have it.
};

struct Overlap {
  std::string user;
  std::string other;
  uint64_t bytes = 0;
  // Of the bytes of the one who has fewer, without what is handed out: 1 = all of it.
  double share = 0;
  std::vector<CommonFile> files;  // The largest first.
};

struct OverlapOptions {
  // What more than this part of all students have (three at least) was handed out to them.
  double handed_out_above = 0.5;
  uint64_t bytes_min = 1;
};

struct Overlaps {
  std::vector<Overlap> pairs;  // The largest share first.
  size_t handed_out = 0;       // Contents that were left aside.
};

Overlaps FindOverlaps(const std::vector<StudentFiles>& students, const OverlapOptions& options);

}  // namespace strata::tools
