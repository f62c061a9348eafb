// FastProgram: net/fastpath/program.bpf.c in the kernel, with its maps. Nothing is pinned: the
// programs, their maps and every attachment end with this object, or with the process.
//
// Used by one thread at a time. Errors are kInternal with what was tried.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "net/fastpath/maps.h"

struct bpf_object;

namespace strata::net {

class FastProgram {
 public:
  using Counts = std::array<uint64_t, kFastCounts>;

  // kUnsupported when this kernel refuses it, or this build has none.
  static Result<std::unique_ptr<FastProgram>> Load();
  ~FastProgram();

  Status SetSource(uint32_t link, const FastSource& source);
  Status SetWay(const FastNode& node, const FastWay& way);
  Status SetSender(const FastSender& sender, uint32_t network);
  // Missing is Ok.
  Status RemoveSource(uint32_t link);
  Status RemoveWay(const FastNode& node);
  Status RemoveSender(const FastSender& sender);
  Result<Counts> Count() const;

  // Of nodes and tunnels, or of the underlay.
  enum class Part { kNodes, kUnderlay };
  // It runs for what this link of the thread's network namespace receives, for as long as the
  // descriptor is open. kNotFound: there is no such link (any more). kResourceExhausted: the
  // process may not have another descriptor.
  Result<UniqueFd> Attach(uint32_t link, Part part) const;
  // The link of an attachment; 0: it is gone, or somebody has detached it.
  static Result<uint32_t> LinkOf(const UniqueFd& attachment);

  // Runs that of nodes once, without an effect, as if loopback (link 1) had received `frame`; the
  // verdict.
  Result<int> Try(std::string_view frame) const;

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };
  FastProgram() = default;

  std::unique_ptr<bpf_object, Close> object_;
  int nodes_ = -1;  // Descriptors of object_.
  int underlay_ = -1;
  int sources_ = -1;
  int ways_ = -1;
  int senders_ = -1;
  int counts_ = -1;
};

}  // namespace strata::net
