// What `vimage import` reads: a tar stream of some origin, as one descriptor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace strata::tools {

// Used by one thread. Destroying it before the end stops the producer.
class TarSource {
 public:
  virtual ~TarSource() = default;
  // Readable until end of file; owned by the source.
  virtual int fd() const = 0;
  // 0: not known.
  virtual uint64_t size_bytes() const { return 0; }
  // A plain file system, where a file called .wh.* is just that. Archives may be layers.
  virtual bool literal_names() const { return false; }
  // Call at end of file: whether the producer made all of it. Only then is the stream complete.
  virtual Status Finish() { return Ok(); }
  // Read after Finish(): what the stream does not hold as it was.
  virtual std::vector<std::string> warnings() const { return {}; }
};

struct SourceArguments {
  std::string source;                 // A tar file, "-", a directory, or "debian:SUITE".
  std::vector<std::string> packages;  // For "debian:SUITE" only, as the variant.
  std::string variant = "minbase";
  std::vector<std::string> mirrors;  // Empty: those of this machine's apt.
};

// `stdin_fd` is what "-" reads. kInvalidArgument or kNotFound name the source.
Result<std::unique_ptr<TarSource>> OpenTarSource(const SourceArguments& arguments, int stdin_fd);

// The command line of mmdebstrap for a suite, and the mirrors it should use when none are given.
std::vector<std::string> MmdebstrapCommand(const std::string& suite,
                                           const SourceArguments& arguments);

}  // namespace strata::tools
