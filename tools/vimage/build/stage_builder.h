// Builds one stage: its steps one after the other, each found in the cache or made.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/build/build_plan.h"
#include "imaged/build/cache_key.h"
#include "imaged/build/ignore_file.h"
#include "imaged/build/stage_settings.h"
#include "tools/vimage/build/build_log.h"
#include "tools/vimage/build/copy_step.h"
#include "tools/vimage/build/open_calls.h"
#include "tools/vimage/build/run_step.h"
#include "tools/vimage/build/step_options.h"

namespace strata::tools {

// Tags of this name hold what steps made: "build-cache:<key>".
inline constexpr char kCacheName[] = "build-cache";

// Files as steps leave them.
struct BuiltFiles {
  std::string reference;  // Empty: none yet (FROM scratch).
  std::vector<std::string> layers;
  bool plain = false;  // Its configuration is empty: a node may run from it as it is.
};

struct BuiltStage {
  BuiltFiles files;
  imaged::build::StageSettings settings;
};

// What all stages of a build share. Thread-safe but for what is filled before they start.
struct BuildContext {
  const imaged::build::Dockerfile& file;
  const imaged::build::BuildPlan& plan;
  const imaged::build::Arguments& given;
  const std::map<std::string, std::string>& secrets;  // Contents by id.
  std::string directory;
  imaged::build::IgnoreFile ignore;
  std::map<std::string, std::string> brought;  // What a registry's image is called here.
  bool no_cache = false;
  uint64_t mount_bytes_max = 0;  // Of what a cache mount keeps.
  std::shared_ptr<grpc::Channel> imaged_channel;
  OpenCalls& calls;
  BuildLog& log;

  // Stages may come to the same step at the same time: the second waits and finds it cached.
  std::mutex& KeyMutex(const std::string& key) {
    const std::lock_guard lock(mutex);
    return key_mutexes[key];
  }
  // The name here of an image that the Dockerfile names.
  const std::string& NameHere(const std::string& text) const {
    const auto at = brought.find(text);
    return at == brought.end() ? text : at->second;
  }
  // Connects at the first RUN: a build without one needs no vclusterd.
  Result<std::shared_ptr<grpc::Channel>> Vclusterd();

  std::mutex mutex;  // Guards what follows.
  std::map<std::string, std::mutex> key_mutexes;
  std::shared_ptr<grpc::Channel> vclusterd_channel;
  uint32_t steps = 0;
  uint32_t cached_steps = 0;
};

class StageBuilder {
 public:
  // `built`: what the stages that this one waits for became, by number. REQUIRES: all outlive this.
  StageBuilder(BuildContext& context, const imaged::build::PlannedStage& planned,
               const std::map<size_t, std::shared_ptr<const BuiltStage>>& built);

  // Errors name file and line.
  Result<BuiltStage> Build();

 private:
  using Instruction = imaged::build::Instruction;

  Status Start();
  Status Step(const Instruction& instruction);
  Status Run(const Instruction& instruction, StepLog& log);
  Status Copy(const Instruction& instruction, StepLog& log);
  Status MakeWorkingDir(const Instruction& instruction, StepLog& log);
  Result<CopyOrder> OrderOf(const Instruction& instruction, const std::string& owner,
                            std::vector<std::string> words, ImageFiles& base) const;
  // Puts the order's files on what there is, or finds that done.
  Status PutFiles(const Instruction& instruction, const std::string& kind, CopySource& source,
                  ImageFiles& base, const CopyOrder& order, StepLog& log);

  // Takes the cached result of `key` if there is one; otherwise `make` makes it under that name.
  Status FindOrMake(const std::string& key, const Instruction& instruction, StepLog& log,
                    const std::function<Status(const std::string& reference)>& make);
  // nullopt: not there, or not what a step on these layers makes.
  Result<std::optional<BuiltFiles>> FindCached(const std::string& reference, size_t new_layers);
  // The files as an image whose nodes run nothing but their init.
  Result<std::string> PlainImage();
  // `image`: what imaged says of it; may be null.
  Result<BuiltFiles> Open(const std::string& reference, imaged::v1::Image* image = nullptr);
  Result<std::vector<BuildSecret>> SecretsOf(const std::vector<SecretMount>& mounts,
                                             imaged::build::CacheKey* key);
  // What "--from=TEXT" means, as a reference; empty: it has no files.
  Result<std::string> ReferenceOf(const std::string& from) const;
  Result<CopyOrder::Owner> ResolveUser(const std::string& text, ImageFiles& base) const;

  BuildContext& context_;
  const imaged::build::PlannedStage& planned_;
  const std::map<size_t, std::shared_ptr<const BuiltStage>>& built_;
  const imaged::build::Stage& stage_;
  const std::unique_ptr<imaged::v1::ImageService::Stub> imaged_;
  imaged::build::StageSettings settings_;
  BuiltFiles files_;
};

// "7: RUN make" as people write it: the instruction's first line.
std::string StepText(const imaged::build::Instruction& instruction);

}  // namespace strata::tools
