#include "imaged/build/build_plan.h"

#include <algorithm>

#include "common/printable.h"
#include "imaged/build/mount_fields.h"

namespace strata::imaged::build {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// A stage before `end` by its name.
std::optional<size_t> Named(const Dockerfile& file, size_t end, const std::string& text) {
  const std::string name = Lower(text);
  for (size_t i = 0; i < end; ++i) {
    if (!name.empty() && file.stages[i].name == name) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Number(const std::string& text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  size_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<size_t>(c - '0');
  }
  return value;
}

Result<PlannedStage> PlanStage(const Dockerfile& file, size_t index, const Arguments& global) {
  const Stage& stage = file.stages[index];
  PlannedStage planned;
  planned.stage = index;
  planned.title = stage.name.empty() ? "stage " + std::to_string(index) : stage.name;
  const VariableLookup lookup = [&](const std::string& name) -> std::optional<std::string> {
    const auto at = global.find(name);
    return at == global.end() ? std::nullopt : std::optional(at->second);
  };
  const auto wrap = [&](const Error& error) {
    return ErrorAt(file.path, stage.from, error.code(), error.message());
  };
  const auto base = ExpandWord(stage.base, lookup, file.escape);
  if (!base.ok()) return wrap(base.error());
  if (base->empty()) return wrap(Error(Code::kInvalidArgument, "FROM: its variables are empty"));
  const auto platform = ExpandWord(stage.platform, lookup, file.escape);
  if (!platform.ok()) return wrap(platform.error());
  if (!platform->empty() && *platform != global.at("BUILDPLATFORM")) {
    return wrap(Error(Code::kUnsupported, "--platform=" + Printable(*platform, 60) +
                                              ": this host builds for " +
                                              global.at("BUILDPLATFORM") + " alone"));
  }
  planned.base.stage = Named(file, index, *base);
  if (planned.base.stage) {
    planned.waits_for.insert(*planned.base.stage);
  } else {
    planned.base.image = *base;
  }
  for (const Instruction& instruction : stage.instructions) {
    for (const Flag& flag : instruction.flags) {
      std::string from;
      if (instruction.keyword == "RUN" && flag.name == "mount") {
        from = BindFrom(flag.value);
        if (from.empty()) continue;
      } else if (instruction.keyword == "COPY" && flag.name == "from") {
        from = flag.value;
      } else {
        continue;
      }
      const auto source = ResolveFrom(file, index, from);
      if (!source.ok()) {
        return ErrorAt(file.path, instruction, source.error().code(), source.error().message());
      }
      if (source->stage) {
        planned.waits_for.insert(*source->stage);
      } else {
        planned.images.insert(source->image);
      }
    }
  }
  return planned;
}

}  // namespace

Result<Source> ResolveFrom(const Dockerfile& file, size_t stage, const std::string& text) {
  if (text.empty()) return Error(Code::kInvalidArgument, "--from needs a stage or an image");
  if (text.find('$') != std::string::npos) {
    return Error(Code::kInvalidArgument,
                 "--from takes no variables: name a stage that is FROM them");
  }
  if (const auto named = Named(file, stage, text)) return Source{named, ""};
  if (const auto number = Number(text)) {
    if (*number < stage) return Source{number, ""};
    return Error(Code::kInvalidArgument, "--from=" + text + ": there is no such earlier stage");
  }
  return Source{std::nullopt, text};
}

Result<BuildPlan> PlanBuild(const Dockerfile& file, const Arguments& given,
                            const std::vector<std::string>& targets) {
  BuildPlan plan;
  ASSIGN_OR_RETURN(plan.global, GlobalArguments(file, given));
  std::set<size_t> needed;
  for (const std::string& target : targets) {
    std::optional<size_t> found = file.stages.size() - 1;
    if (!target.empty()) {
      found = Named(file, file.stages.size(), target);
      if (!found) found = Number(target);
      if (!found || *found >= file.stages.size()) {
        return Error(Code::kNotFound,
                     file.path + ": there is no stage '" + Printable(target, 60) + "'");
      }
    }
    plan.targets.push_back(*found);
    needed.insert(*found);
  }
  // What a stage waits for is earlier, so one way from the last to the first finds all.
  for (size_t i = file.stages.size(); i-- > 0;) {
    if (!needed.contains(i)) continue;
    ASSIGN_OR_RETURN(PlannedStage planned, PlanStage(file, i, plan.global));
    needed.insert(planned.waits_for.begin(), planned.waits_for.end());
    plan.stages.push_back(std::move(planned));
  }
  std::reverse(plan.stages.begin(), plan.stages.end());
  return plan;
}

}  // namespace strata::imaged::build
