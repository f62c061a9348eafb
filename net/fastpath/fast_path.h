// FastPath: frames between nodes that need no bridge go from veth to veth, or from veth to tunnel,
// by a program of the kernel (net/fastpath/program.bpf.c); between hosts another one makes packets
// of them and takes those apart. It is an addition to what net/ has made: what packets look like
// between hosts does not change, so hosts with and without it are the same for each other, and
// whatever is wrong with it, the bridge and the tunnel are still there.
//
// Everything of it ends with this object, also when its process is killed: a node whose link is
// made anew meanwhile is not missed by anybody, and who starts again makes it anew.
//
// Of the network namespace of the thread that uses it. One thread at a time.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "net/fastpath/fast_plan.h"
#include "net/fastpath/fast_program.h"

namespace strata::net {

class FastPath {
 public:
  // Loads the program and tries it. kUnsupported says why this host can have none.
  static Result<std::unique_ptr<FastPath>> Open();
  // The same, with one line in the log either way. Null: there is none.
  static std::unique_ptr<FastPath> OpenOrLog();

  // Makes it so, after ApplyPlan (net/apply.h), with what is there then. After an error nothing
  // takes the fast path, until a call that succeeds. True: something has changed. Where the host
  // has policies of IPsec, which would be passed by, packets between hosts are left to the tunnels.
  Result<bool> Keep(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                    std::set<std::string> kept_off = {});

  // Nothing takes the fast path, until Keep is called again. For when it cannot be said what there
  // is, or what should be.
  Status Clear();

  // Frames since it was opened, by FastCount.
  Result<FastProgram::Counts> Count() const;
  // Local nodes that have a part in it.
  size_t nodes() const;

 private:
  explicit FastPath(std::unique_ptr<FastProgram> program) : program_(std::move(program)) {}
  Status Try();
  Status Forget();
  Status Apply(const FastPlan& plan);
  // False: the link is gone, or there is no room for one more.
  Result<bool> Attach(uint32_t link, FastProgram::Part part);

  std::unique_ptr<FastProgram> program_;
  FastState state_;
  std::map<uint32_t, UniqueFd> attachments_;  // By link.
  FastProgram::Counts tried_{};               // What trying it has counted.
};

}  // namespace strata::net
