#include "tools/vimage/build/base_images.h"

#include <optional>
#include <set>

#include "common/printable.h"
#include "imaged/build/base_reference.h"
#include "tools/vimage/build/stage_builder.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;

Result<std::optional<api::Image>> Find(Tool& tool, const std::string& reference) {
  api::ShowRequest request;
  request.set_reference(reference);
  auto shown = Ask(tool, &api::ImageService::Stub::Show, request);
  if (shown.ok()) return std::optional(std::move(*shown->mutable_image()));
  // A registry's name is often none that an image of this host could have.
  const Code code = shown.error().code();
  if (code == Code::kNotFound || code == Code::kInvalidArgument) {
    return std::optional<api::Image>();
  }
  return shown.error();
}

// By digest: the name may move while the build goes on.
std::string Exactly(const api::Image& image) {
  return image.owner() + "/" + image.name() + "@" + image.digest();
}

Result<BaseImage> Bring(Tool& tool, const std::string& location, RegistryArguments how, bool pull,
                        BuildLog& log) {
  how.location = location;
  how.name = std::string(kCacheName) + ":" + imaged::build::BaseTag(location);
  how.replace = true;
  ASSIGN_OR_RETURN(const auto here, Find(tool, how.name));
  std::string known;
  if (here) {
    const auto label = here->labels().find(kBaseLabel);
    if (label != here->labels().end()) known = label->second;
  }
  if (!known.empty() && !pull) return BaseImage{Exactly(*here), known};
  log.Say("[base] " + Printable(location));
  ASSIGN_OR_RETURN(const RegistryImport imported, ImportFromRegistry(tool, how, known, kBaseLabel));
  if (!imported.result) {
    log.Say("[base] is " + imported.location + " as before");
    return BaseImage{Exactly(*here), known};
  }
  for (const std::string& warning : imported.result->summary().warnings()) log.Warn(warning);
  log.Say("[base] is " + imported.location + ", " + DescribeIngest(imported.result->summary()));
  return BaseImage{Exactly(imported.result->image()), imported.location};
}

}  // namespace

Result<std::map<std::string, BaseImage>> BringBases(Tool& tool,
                                                    const imaged::build::BuildPlan& plan,
                                                    const RegistryArguments& how, bool pull,
                                                    BuildLog& log) {
  std::set<std::string> wanted;
  for (const imaged::build::PlannedStage& stage : plan.stages) {
    wanted.insert(stage.images.begin(), stage.images.end());
    wanted.insert(stage.base.image);
  }
  std::map<std::string, BaseImage> bases;
  for (const std::string& text : wanted) {
    const auto location = imaged::build::RegistryLocationOf(text);
    if (!location) continue;
    ASSIGN_OR_RETURN(const auto local, Find(tool, text));
    if (local) continue;
    ASSIGN_OR_RETURN(bases[text], Bring(tool, *location, how, pull, log), Printable(text));
  }
  return bases;
}

}  // namespace strata::tools
