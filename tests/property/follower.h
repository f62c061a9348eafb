// Follower: carries out operations on a mounted tree and on a model of it, and says where the two
// part. It knows what each driver is known to do otherwise (docs/semantics.md).
#pragma once

#include <string>

#include "tests/property/checker.h"
#include "tests/property/executor.h"
#include "tests/property/model.h"
#include "tests/property/target.h"

namespace strata::property {

class Follower {
 public:
  // `root`: where the tree is mounted, which looks as `model` says.
  Follower(Target target, const std::string& root, Model model);
  Follower(const Follower&) = delete;

  // What went wrong; empty: nothing. For a remount: closes every file.
  std::string Step(const Operation& op);
  // Everything below the directory at `path` of the model, and the open files.
  std::string CheckAll(const std::string& path);
  void CloseAll() { executor_.CloseAll(); }
  void ForgetNumbers() { checker_.ForgetNumbers(); }

  const Model& model() const { return model_; }
  uint64_t succeeded() const { return succeeded_; }

 private:
  std::optional<Id> MayRefuse(const Operation& op) const;

  const Target target_;
  const std::string root_;
  Model model_;
  Executor executor_;
  Checker checker_;
  uint64_t succeeded_ = 0;
};

}  // namespace strata::property
