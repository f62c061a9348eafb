// Earlier builds of a name: builds, rollback; and what steps left, build-cache.
#include <algorithm>
#include <optional>
#include <ostream>

#include "common/printable.h"
#include "common/rpc/channel.h"
#include "imaged/build/cache_age.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/build/last_use.h"
#include "tools/vimage/build/leftovers.h"
#include "tools/vimage/build/publisher.h"
#include "tools/vimage/build/stage_builder.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

// Newest first.
Result<std::vector<api::Image>> BuildsOf(Tool& tool, const std::string& path) {
  api::VersionsRequest request;
  request.set_reference(path);
  ASSIGN_OR_RETURN(const api::VersionsResponse versions, Ask(tool, &Stub::Versions, request));
  std::vector<api::Image> builds;
  for (const api::Image& image : versions.images()) {
    if (BuildNumber(image.tag())) builds.push_back(image);
  }
  std::sort(builds.begin(), builds.end(), [](const api::Image& a, const api::Image& b) {
    return *BuildNumber(a.tag()) > *BuildNumber(b.tag());
  });
  return builds;
}

std::string LabelOf(const api::Image& image, const std::string& name) {
  const auto at = image.labels().find(name);
  return at == image.labels().end() ? "" : at->second;
}

Result<int> Builds(Tool& tool, const std::string& text) {
  ASSIGN_OR_RETURN(const ImageName name, ParseImageName(text));
  ASSIGN_OR_RETURN(const auto builds, BuildsOf(tool, name.path));
  api::VersionsResponse response;
  response.mutable_images()->Assign(builds.begin(), builds.end());
  return Show(tool, response, [&](const auto& all) {
    Table table({"BUILD", "DIGEST", "MADE", "BY", "STAGE", "DOCKERFILE"});
    for (const api::Image& image : all.images()) {
      const std::string by =
          image.layers().empty() ? "" : image.layers(image.layers_size() - 1).history().creator();
      table.Add({image.tag(), ShortDigest(image.digest()), LocalTime(image.created_unix_ms()), by,
                 LabelOf(image, kStageLabel), ShortDigest(LabelOf(image, kDockerfileLabel))});
    }
    table.Print(tool.console().out);
  });
}

// "3", "build-3", or nothing: the one before what the tag is now.
Result<std::string> BuildToGoTo(Tool& tool, const ImageName& name, const std::string& wanted) {
  ASSIGN_OR_RETURN(const auto builds, BuildsOf(tool, name.path));
  if (!wanted.empty()) {
    const std::string tag = wanted.starts_with(kBuildTagPrefix) ? wanted : kBuildTagPrefix + wanted;
    for (const api::Image& image : builds) {
      if (image.tag() == tag) return tag;
    }
    return Error(Code::kNotFound, Printable(name.path) + " has no build " + Printable(wanted) +
                                      ": 'vimage builds " + Printable(name.path) + "' lists them");
  }
  api::ShowRequest request;
  request.set_reference(name.path + ":" + name.tag);
  ASSIGN_OR_RETURN(const api::ShowResponse shown, Ask(tool, &Stub::Show, request));
  const auto now = std::find_if(builds.begin(), builds.end(), [&](const api::Image& image) {
    return image.digest() == shown.image().digest();
  });
  if (now == builds.end()) {
    return Error(Code::kFailedPrecondition, Printable(name.path + ":" + name.tag) +
                                                " is no build of this name: say which to go to");
  }
  if (now + 1 == builds.end()) {
    return Error(Code::kFailedPrecondition, Printable(name.path + ":" + name.tag) + " is " +
                                                now->tag() + ", and there is none before it");
  }
  return (now + 1)->tag();
}

Result<int> Rollback(Tool& tool, const std::string& text, const std::string& wanted,
                     bool keep_secrets) {
  ASSIGN_OR_RETURN(const ImageName name, ParseImageName(text));
  ASSIGN_OR_RETURN(const std::string build, BuildToGoTo(tool, name, wanted));
  api::TagRequest request;
  request.set_reference(name.path + ":" + build);
  request.set_new_reference(name.path + ":" + name.tag);
  request.set_replace(true);
  request.set_keep_secrets(keep_secrets);
  ASSIGN_OR_RETURN(const api::TagResponse response, Ask(tool, &Stub::Tag, request));
  return Show(tool, response, [&](const auto& tagged) {
    tool.console().out << Printable(FullName(tagged.image())) << " is " << build << ", "
                       << ShortDigest(tagged.image().digest()) << '\n';
  });
}

struct PruneArguments {
  std::string older_than;
  std::string keep_bytes;
};

bool IsStep(const api::Image& image) {
  return !image.tag().starts_with("base-") && !image.tag().starts_with("mount-");
}

// Those of the cache that are to go.
Result<std::vector<api::Image>> ToForget(const api::VersionsResponse& versions,
                                         const PruneArguments& arguments) {
  std::optional<int64_t> used_before;
  if (!arguments.older_than.empty()) {
    const int64_t now = NowUnixMs();
    ASSIGN_OR_RETURN(const int64_t until, ParseUntil(arguments.older_than, now), "--older-than");
    used_before = now - (until - now);
  }
  std::optional<uint64_t> keep_bytes;
  if (!arguments.keep_bytes.empty()) {
    ASSIGN_OR_RETURN(keep_bytes, ParseBytes(arguments.keep_bytes), "--keep-bytes");
  }
  std::vector<imaged::build::CacheEntry> entries;
  for (const api::Image& image : versions.images()) {
    imaged::build::CacheEntry& entry = entries.emplace_back();
    entry.last_use_unix_ms = LastUseUnixMs(image);
    // What is below a step's own layer is another step's, or an image's.
    for (int i = IsStep(image) ? image.layers_size() - 1 : 0; i >= 0 && i < image.layers_size();
         ++i) {
      entry.layers[image.layers(i).digest()] = image.layers(i).content_bytes();
    }
  }
  std::vector<api::Image> forget;
  for (const size_t index : imaged::build::EntriesToForget(entries, used_before, keep_bytes)) {
    forget.push_back(versions.images(static_cast<int>(index)));
  }
  return forget;
}

Result<int> PruneCache(Tool& tool, const PruneArguments& arguments) {
  api::VersionsRequest request;
  request.set_reference(kCacheName);
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Stub stub(channel);
  Call call;
  api::VersionsResponse versions;
  const grpc::Status status = stub.Versions(call.context(), request, &versions);
  if (!status.ok() && status.error_code() != grpc::StatusCode::NOT_FOUND) {
    return CallError(status, Daemon::kImaged);
  }
  api::PruneResponse all;
  ASSIGN_OR_RETURN(const std::vector<api::Image> forget, ToForget(versions, arguments));
  for (const api::Image& image : forget) {
    api::DeleteRequest remove;
    remove.set_reference(image.owner() + "/" + image.name() +
                         (image.tag().empty() ? "@" + image.digest() : ":" + image.tag()));
    remove.set_force(true);  // A build that runs keeps its layers by a lease.
    grpc::ClientContext context;
    api::DeleteResponse deleted;
    const grpc::Status done = stub.Delete(&context, remove, &deleted);
    if (!done.ok() && done.error_code() != grpc::StatusCode::NOT_FOUND) {
      return CallError(done, Daemon::kImaged);
    }
    all.set_freed_bytes(all.freed_bytes() + deleted.freed_bytes());
    all.set_freed_objects(all.freed_objects() + deleted.freed_objects());
    *all.add_images() = image;
  }
  return Show(tool, all, [&](const auto& pruned) {
    tool.console().out << HumanCount(static_cast<uint64_t>(pruned.images_size()))
                       << " steps forgotten, " << HumanBytes(pruned.freed_bytes()) << " freed\n";
  });
}

Result<int> PruneNodes(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::ConnectLocal(DefaultSocket(Daemon::kVclusterd), "vclusterd"));
  const auto vclusterd = vcluster::v1::VclusterService::NewStub(channel);
  ASSIGN_OR_RETURN(const std::vector<std::string> removed, RemoveLeftovers(*vclusterd));
  vcluster::v1::Clusters clusters;
  for (const std::string& name : removed) clusters.add_clusters()->set_name(name);
  return Show(tool, clusters, [&](const auto& all) {
    for (const auto& cluster : all.clusters()) tool.console().out << cluster.name() << " deleted\n";
    if (all.clusters().empty()) tool.console().out << "no killed build has left anything\n";
  });
}

}  // namespace

void AddBuildHistoryCommands(Tool& tool) {
  auto name = std::make_shared<std::string>();
  auto build = std::make_shared<std::string>();
  auto keep_secrets = std::make_shared<bool>(false);
  CLI::App* command =
      tool.AddCommand("builds", "What 'vimage build' made under a name", "  vimage builds tools",
                      [&tool, name] { return Builds(tool, *name); });
  command->add_option("NAME", *name, "[OWNER/]NAME")->required();
  command = tool.AddCommand(
      "rollback", "Move a tag back to an earlier build",
      "  vimage rollback tools:v2      # to the build before\n  vimage rollback tools:v2 3",
      [&tool, name, build, keep_secrets] { return Rollback(tool, *name, *build, *keep_secrets); });
  command->add_option("NAME", *name, "[OWNER/]NAME[:TAG]")->required();
  command->add_option("BUILD", *build, "A number of 'vimage builds'; the one before if not given");
  command->add_flag("--keep-secrets", *keep_secrets,
                    "Also when NAME is shared and containers left keys or tokens in the image");
  auto prune = std::make_shared<PruneArguments>();
  command =
      tool.AddCommand("prune-build-cache", "Forget what the steps of your builds made",
                      "  vimage prune-build-cache   # images that were built stay as they are\n"
                      "  vimage prune-build-cache --older-than 30d --keep-bytes 10G",
                      [&tool, prune] { return PruneCache(tool, *prune); });
  command->add_option("--older-than", prune->older_than,
                      "Only what no build used for so long: 30d, 12h, 90m");
  command->add_option("--keep-bytes", prune->keep_bytes,
                      "Then what was used longest ago, until the rest is no larger than this");
  tool.AddCommand("prune-build-nodes", "Take away the Vclusters of your builds that were killed",
                  "  vimage prune-build-nodes   # the next build does the same",
                  [&tool] { return PruneNodes(tool); });
}

}  // namespace strata::tools
