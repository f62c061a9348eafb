#include "tools/vimage/build/publisher.h"

#include <algorithm>
#include <charconv>

#include "common/printable.h"
#include "tools/vimage/build/stage_builder.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;

constexpr size_t kCommandBytesMax = 2000;

}  // namespace

std::optional<uint64_t> BuildNumber(const std::string& tag) {
  const std::string_view prefix = kBuildTagPrefix;
  if (!tag.starts_with(prefix)) return std::nullopt;
  uint64_t number = 0;
  const char* first = tag.data() + prefix.size();
  const auto [end, error] = std::from_chars(first, tag.data() + tag.size(), number);
  if (error != std::errc() || end != tag.data() + tag.size()) return std::nullopt;
  return number;
}

Result<ImageName> ParseImageName(const std::string& text) {
  if (text.find('@') != std::string::npos) {
    return Error(Code::kInvalidArgument, Printable(text) + ": name a tag, not a digest");
  }
  const size_t slash = text.rfind('/');
  const size_t colon = text.find(':', slash == std::string::npos ? 0 : slash);
  ImageName name{text.substr(0, colon), "latest"};
  if (colon != std::string::npos) name.tag = text.substr(colon + 1);
  const std::string last = name.path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (last == kCacheName || BuildNumber(name.tag)) {
    return Error(Code::kInvalidArgument,
                 Printable(text) + ": builds keep this name for themselves; choose another");
  }
  return name;
}

Status Publisher::Place(const Publication& publication, Placed* placed) {
  const std::string& path = publication.name.path;
  placed->tag_reference = path + ":" + publication.name.tag;
  api::ShowRequest show;
  show.set_reference(placed->tag_reference);
  const auto shown = calls_.Ask(imaged_, Daemon::kImaged, &Stub::Show, show);
  if (shown.ok()) {
    placed->before = path + "@" + shown->image().digest();
  } else if (shown.error().code() != Code::kNotFound) {
    return shown.error();
  }
  api::VersionsRequest ask;
  ask.set_reference(path);
  const auto versions = calls_.Ask(imaged_, Daemon::kImaged, &Stub::Versions, ask);
  if (!versions.ok() && versions.error().code() != Code::kNotFound) return versions.error();
  uint64_t last = 0;
  std::string last_digest;
  if (versions.ok()) {
    for (const api::Image& image : versions->images()) {
      const uint64_t number = BuildNumber(image.tag()).value_or(0);
      if (number > last) {
        last = number;
        last_digest = image.digest();
      }
    }
  }
  placed->build_tag = kBuildTagPrefix + std::to_string(last + 1);
  placed->build_reference = path + ":" + placed->build_tag;
  api::ConfigureRequest request;
  request.set_reference(publication.reference);
  request.set_new_reference(placed->build_reference);
  *request.mutable_config() = publication.config;
  request.mutable_labels()->insert(publication.labels.begin(), publication.labels.end());
  request.mutable_lineage()->set_origin("build");
  request.mutable_lineage()->set_command(command_line_.substr(0, kCommandBytesMax));
  ASSIGN_OR_RETURN(const api::ConfigureResponse made,
                   calls_.Ask(imaged_, Daemon::kImaged, &Stub::Configure, request));
  placed->is_new = true;
  placed->digest = made.image().digest();
  if (placed->digest != last_digest) return Ok();
  // The last build made the same: it needs no number of its own.
  api::DeleteRequest remove;
  remove.set_reference(placed->build_reference);
  RETURN_IF_ERROR(calls_.Ask(imaged_, Daemon::kImaged, &Stub::Delete, remove));
  placed->is_new = false;
  placed->build_tag = kBuildTagPrefix + std::to_string(last);
  placed->build_reference = path + ":" + placed->build_tag;
  return Ok();
}

Status Publisher::Move(Placed* placed) {
  api::TagRequest request;
  request.set_reference(placed->build_reference);
  request.set_new_reference(placed->tag_reference);
  request.set_replace(true);
  request.set_keep_secrets(keep_secrets_);
  RETURN_IF_ERROR(calls_.Ask(imaged_, Daemon::kImaged, &Stub::Tag, request));
  placed->moved = true;
  return Ok();
}

std::vector<std::string> Publisher::TakeBack(const std::vector<Placed>& all) {
  std::vector<std::string> left;
  OpenCalls calls;  // The build's own may be cancelled.
  for (const Placed& placed : all) {
    if (placed.moved && !placed.before.empty()) {
      api::TagRequest request;
      request.set_reference(placed.before);
      request.set_new_reference(placed.tag_reference);
      request.set_replace(true);
      request.set_keep_secrets(true);  // They saw it a moment ago.
      if (!calls.Ask(imaged_, Daemon::kImaged, &Stub::Tag, request).ok()) {
        left.push_back(placed.tag_reference);
      }
    }
    const auto remove = [&](const std::string& reference) {
      api::DeleteRequest request;
      request.set_reference(reference);
      if (!calls.Ask(imaged_, Daemon::kImaged, &Stub::Delete, request).ok()) {
        left.push_back(reference);
      }
    };
    if (placed.moved && placed.before.empty()) remove(placed.tag_reference);
    if (placed.is_new) remove(placed.build_reference);
  }
  return left;
}

Result<std::vector<Published>> Publisher::Publish(const std::vector<Publication>& publications) {
  std::vector<Placed> placed;
  Status status = Ok();
  for (size_t i = 0; i < publications.size() && status.ok(); ++i) {
    status = Place(publications[i], &placed.emplace_back());
  }
  for (size_t i = 0; i < placed.size() && status.ok(); ++i) status = Move(&placed[i]);
  if (!status.ok()) {
    const std::vector<std::string> left = TakeBack(placed);
    if (left.empty()) return status.error().Wrap("no tag was moved");
    std::string names;
    for (const std::string& name : left) names += (names.empty() ? "" : ", ") + name;
    return status.error().Wrap("not all is as it was before, look at " + names);
  }
  std::vector<Published> published;
  for (const Placed& each : placed) {
    published.push_back({each.tag_reference, each.digest, each.build_tag});
  }
  return published;
}

}  // namespace strata::tools
