// SampleRoot: a tiny image with an upper of its own, to find out by trying what a kernel and a file
// system can do. Holds `file` (content in an object) and `linked` (a second name of it).
// Removed with everything in it by its destructor.
#pragma once

#include <string>

#include "common/file_io.h"
#include "common/result.h"
#include "layerfs/root.h"

namespace strata::layerfs {

inline constexpr std::string_view kSampleContent =
    "The content of a file that is larger than what a tree holds inline.";

class SampleRoot {
 public:
  static Result<SampleRoot> Create(const std::string& parent_dir);

  const RootSpec& spec() const { return spec_; }
  std::string object_path() const;

 private:
  SampleRoot(TemporaryDirectory directory, RootSpec spec)
      : directory_(std::move(directory)), spec_(std::move(spec)) {}
  TemporaryDirectory directory_;
  RootSpec spec_;
};

// Mounts the sample with the kernel driver, ids shifted as for an unprivileged container, reads the
// file through the data-only layer and copies it up. The error names the first thing that fails.
Status CheckKernelDriver(const SampleRoot& sample);

}  // namespace strata::layerfs
