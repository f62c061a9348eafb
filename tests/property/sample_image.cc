#include "tests/property/sample_image.h"

#include <sys/sysmacros.h>

namespace strata::property {
namespace {

class Describer {
 public:
  Describer(std::string prefix, testing::TestImage* image, Model* model)
      : prefix_(std::move(prefix)), image_(image), model_(model) {}

  void Directory(const std::string& name, mode_t mode = 0755, gid_t gid = 0,
                 std::optional<Acl> default_acl = std::nullopt) {
    Inode inode;
    inode.mode = S_IFDIR | mode;
    inode.gid = gid;
    inode.default_acl = std::move(default_acl);
    image_->Directory(prefix_ + name, AttributesOf(inode));
    Add(name, std::move(inode));
  }
  void File(const std::string& name, std::string data, Inode inode = {}) {
    inode.mode |= S_IFREG;
    if ((inode.mode & 07777) == 0) inode.mode |= 0644;
    inode.data = std::move(data);
    image_->File(prefix_ + name, inode.data, AttributesOf(inode));
    Add(name, std::move(inode));
  }
  void Symlink(const std::string& name, const std::string& target) {
    Inode inode;
    inode.mode = S_IFLNK | 0777;
    inode.data = target;
    image_->Symlink(prefix_ + name, target);
    Add(name, std::move(inode));
  }
  void Special(const std::string& name, mode_t type, dev_t device = 0) {
    Inode inode;
    inode.mode = type | 0644;
    inode.rdev = device;
    image_->Special(prefix_ + name, type, device, AttributesOf(inode));
    Add(name, std::move(inode));
  }
  void Link(const std::string& name, const std::string& existing) {
    image_->HardLink(prefix_ + name, prefix_ + existing);
    model_->LinkImage(prefix_ + name, prefix_ + existing);
  }

 private:
  static testing::EntryAttributes AttributesOf(const Inode& inode) {
    testing::EntryAttributes attributes{
        .mode = inode.mode & 07777, .uid = inode.uid, .gid = inode.gid};
    for (const auto& [name, value] : inode.xattrs) attributes.xattrs.push_back({name, value});
    const auto add = [&](const char* name, const std::optional<Acl>& acl) {
      if (acl) attributes.xattrs.push_back({name, AclValue(*acl)});
    };
    add("system.posix_acl_access", inode.access_acl);
    add("system.posix_acl_default", inode.default_acl);
    return attributes;
  }
  void Add(const std::string& name, Inode inode) {
    inode.mtime_kind = MtimeKind::kExact;
    inode.mtime_seconds = testing::TestImage::kMtime;
    model_->AddImage(prefix_ + name, std::move(inode));
  }

  std::string prefix_;
  testing::TestImage* image_;
  Model* model_;
};

std::string WithHoles() {
  std::string data = Pattern(5, 60'000);
  data.replace(8'000, 30'000, 30'000, '\0');
  return data;
}

}  // namespace

void DescribeSample(const std::string& prefix, testing::TestImage* image, Model* model) {
  Describer to(prefix, image, model);
  const Acl acl = {{1, 6, ~0u}, {2, 7, 1000}, {4, 4, ~0u}, {16, 5, ~0u}, {32, 1, ~0u}};
  for (const std::string dir : {"a", "b", "c"}) {
    to.Directory(dir);
    to.File(dir + "/a", "tiny " + dir);
    Inode owned;
    owned.mode = 0600;
    owned.uid = 7;
    owned.gid = 8;
    to.File(dir + "/b", Pattern(2, 5'000), owned);
    to.Directory(dir + "/c", 0711);
    Inode attributed;
    attributed.xattrs = {{"trusted.c", "lower"}, {"user.a", "lower " + dir}};
    to.File(dir + "/c/a", Pattern(3, 100'000), attributed);
    to.Link(dir + "/c/b", dir + "/b");
    to.Symlink(dir + "/c/d", "e/a");
    to.Directory(dir + "/c/e");
    to.File(dir + "/c/e/a", Pattern(4, 700));
    to.File(dir + "/c/e/b", "");
    to.Link(dir + "/d", dir + "/c/e/a");
    to.Link(dir + "/f", dir + "/c/e/b");
    to.Special(dir + "/e", S_IFIFO);
  }
  to.Link("e", "a/d");  // Across directories.
  to.Link("c/c/f", "b/b");
  to.File("d", WithHoles());
  Inode with_acl;
  with_acl.mode = 0651;
  with_acl.access_acl = acl;
  to.File("f", Pattern(6, 3'000), with_acl);
  to.Directory("a/c/f", 0755, 0, acl);
  to.Directory("b/c/f", 02775, 1000);
  to.Special("b/c/f/a", S_IFCHR, makedev(1, 3));
  to.Symlink("b/c/f/b", "nowhere");
}

}  // namespace strata::property
