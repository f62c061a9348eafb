#include "tools/vimage/describe.h"

#include "tools/cli/human.h"

namespace strata::tools {

std::string FullName(const imaged::v1::Image& image) {
  return image.owner() + "/" + image.name() + ":" + image.tag();
}

uint64_t ContentBytes(const imaged::v1::Image& image) {
  uint64_t bytes = 0;
  for (const auto& layer : image.layers()) bytes += layer.content_bytes();
  return bytes;
}

const char* VisibilityName(imaged::v1::Visibility visibility) {
  return visibility == imaged::v1::PUBLIC ? "public" : "private";
}

std::string DescribeIngest(const imaged::v1::IngestSummary& summary) {
  return HumanCount(summary.entries()) + " entries, " + HumanBytes(summary.bytes()) + " read, " +
         HumanBytes(summary.new_bytes()) + " new in " + HumanCount(summary.new_objects()) +
         " objects, manifest " + HumanBytes(summary.manifest_bytes());
}

}  // namespace strata::tools
