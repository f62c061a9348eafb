#include "layerfs/sample_root.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/digest.h"
#include "common/xattr.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/manifest/tree.h"
#include "layerfs/kernel_root.h"

namespace strata::layerfs {
namespace {

constexpr IdShift kSampleShift{.first_id = 100000, .count = 65536};

Result<imaged::Tree> SampleTree(const Digest& object) {
  imaged::Tree tree;
  imaged::Inode file;
  file.mode = S_IFREG | 0644;
  file.size = kSampleContent.size();
  file.object = object;
  ASSIGN_OR_RETURN(const imaged::InodeIndex index, tree.AddInode(std::move(file)));
  RETURN_IF_ERROR(tree.Link(imaged::Tree::kRoot, "file", index));
  RETURN_IF_ERROR(tree.Link(imaged::Tree::kRoot, "linked", index));
  return tree;
}

}  // namespace

Result<SampleRoot> SampleRoot::Create(const std::string& parent_dir) {
  ASSIGN_OR_RETURN(TemporaryDirectory directory, TemporaryDirectory::Create(parent_dir, "sample."));
  const std::string& base = directory.path();
  RootSpec spec{.tree_path = base + "/tree",
                .objects_dir = base + "/objects",
                .upper_dir = base + "/upper",
                .work_dir = base + "/work",
                .id_shift = kSampleShift};
  const Digest digest = Hasher::Of(kSampleContent);
  const std::string object = spec.objects_dir + "/" + digest.ObjectPath();
  RETURN_IF_ERROR(MakeDirectories(object.substr(0, object.rfind('/'))));
  RETURN_IF_ERROR(WriteFileAtomically(object, kSampleContent, 0444));
  ASSIGN_OR_RETURN(const imaged::Tree tree, SampleTree(digest));
  ASSIGN_OR_RETURN(UniqueFd fd, Open(spec.tree_path, O_RDWR | O_CREAT | O_EXCL, 0444));
  RETURN_IF_ERROR(imaged::WriteErofs(tree, fd.get()));
  RETURN_IF_ERROR(fd.Close());
  RETURN_IF_ERROR(PrepareUpper(spec));
  return SampleRoot(std::move(directory), std::move(spec));
}

std::string SampleRoot::object_path() const {
  return spec_.objects_dir + "/" + Hasher::Of(kSampleContent).ObjectPath();
}

Status CheckKernelDriver(const SampleRoot& sample) {
  ASSIGN_OR_RETURN(const UniqueFd root, MountKernelRoot(sample.spec()));
  ASSIGN_OR_RETURN(UniqueFd file, OpenAt(root.get(), "file", O_RDONLY));
  ASSIGN_OR_RETURN(const std::string content, ReadAll(file.get(), kSampleContent.size()));
  if (content != kSampleContent) {
    return Error(Code::kUnsupported, "a file behind a data-only layer reads wrongly");
  }
  if (::fchmodat(root.get(), "file", 0600, 0) != 0) {
    const Error error = Errno("copy up");
    return Error(Code::kUnsupported, error.message(), error.sys_errno());
  }
  struct stat upper;
  if (::lstat((sample.spec().upper_dir + "/file").c_str(), &upper) != 0) return Errno("copy up");
  if (upper.st_uid != kSampleShift.first_id) {
    return Error(Code::kUnsupported, "ids are not shifted through an idmapped layer");
  }
  ASSIGN_OR_RETURN(const UniqueFd copied, Open(sample.spec().upper_dir + "/file", O_RDONLY));
  RETURN_IF_ERROR(GetXattr(copied.get(), "trusted.overlay.metacopy"),
                  "a change of mode copies the data up");
  return Ok();
}

}  // namespace strata::layerfs
