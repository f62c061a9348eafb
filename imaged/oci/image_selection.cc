#include "imaged/oci/image_selection.h"

#include <optional>
#include <set>
#include <vector>

#include "common/printable.h"

namespace strata::imaged::oci {
namespace {

constexpr size_t kIndexDepthMax = 4;
constexpr size_t kIndexesMax = 64;
constexpr char kAttestationMark[] = "vnd.docker.reference.type";

// Looks through indexes, the outermost first.
class Selection {
 public:
  Selection(BlobSource& source, const Platform& platform, const CancelToken& cancel)
      : source_(source), platform_(platform), cancel_(cancel) {}

  Result<Descriptor> Run(const Descriptor& start) {
    RETURN_IF_ERROR(Visit(start, 0));
    if (found_) return *found_;
    std::string names;
    for (const std::string& name : others_) names += (names.empty() ? "" : ", ") + name;
    return Error(Code::kNotFound, "there is no image for " + platform_.ToString() +
                                      (names.empty() ? "" : "; there is one for " + names));
  }

 private:
  Status Visit(const Descriptor& entry, size_t depth) {
    if (found_ || entry.annotations.contains(kAttestationMark)) return Ok();
    if (IsIndexType(entry.media_type)) return VisitIndex(entry, depth);
    if (!IsManifestType(entry.media_type)) {
      if (depth > 0) return Ok();  // An index may hold what is not ours.
      return Error(Code::kUnsupported,
                   "'" + Printable(entry.media_type, 100) + "' is no manifest of an image");
    }
    if (!entry.platform || Matches(*entry.platform, platform_)) {
      found_ = entry;
    } else {
      others_.insert(Printable(entry.platform->ToString(), 100));
    }
    return Ok();
  }

  Status VisitIndex(const Descriptor& entry, size_t depth) {
    if (depth >= kIndexDepthMax || ++indexes_ > kIndexesMax) {
      return Error(Code::kResourceExhausted, "too many indexes, or too deep in each other");
    }
    const std::string name = entry.digest.ToString();
    ASSIGN_OR_RETURN(const std::string text, ReadDocument(source_, entry, cancel_));
    ASSIGN_OR_RETURN(const Index index, ParseIndex(text), name);
    for (const Descriptor& each : index.manifests) RETURN_IF_ERROR(Visit(each, depth + 1));
    return Ok();
  }

  BlobSource& source_;
  const Platform& platform_;
  const CancelToken& cancel_;
  std::optional<Descriptor> found_;
  std::set<std::string> others_;
  size_t indexes_ = 0;
};

}  // namespace

bool Matches(const Platform& have, const Platform& want) {
  return have.os == want.os && have.architecture == want.architecture &&
         (have.variant.empty() || want.variant.empty() || have.variant == want.variant);
}

Result<Descriptor> SelectManifest(BlobSource& source, const Descriptor& start,
                                  const Platform& platform, const CancelToken& cancel) {
  return Selection(source, platform, cancel).Run(start);
}

}  // namespace strata::imaged::oci
