// A repository in a directory of its own, and archives to import into it.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "imaged/archive/tar_export.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

constexpr uid_t kAlice = 50'001;
constexpr uid_t kBob = 50'002;

#undef ASSERT_OK
#define ASSERT_OK(expr)                                         \
  do {                                                          \
    const auto& ok_result = (expr);                             \
    ASSERT_TRUE(ok_result.ok()) << ok_result.error().message(); \
  } while (false)

struct File {
  std::string path;  // Below the root, directories are made.
  std::string content;
};

// A tar of these files, made by the exporter from a tree of its own store.
inline std::string MakeTar(const std::string& scratch, const std::vector<File>& files) {
  auto store = ObjectStore::Open(scratch);
  EXPECT_TRUE(store.ok());
  auto ingest = (*store)->StartIngest();
  Tree tree;
  for (const File& file : files) {
    Inode inode;
    inode.mode = S_IFREG | 0644;
    inode.size = file.content.size();
    if (file.content.size() <= kInlineSizeMax) {
      inode.data = file.content;
    } else {
      inode.object = *(*ingest)->Add(file.content);
    }
    auto index = tree.AddInode(std::move(inode));
    EXPECT_TRUE(tree.Link(Tree::kRoot, file.path, *index).ok());
  }
  EXPECT_TRUE((*ingest)->Commit().ok());
  std::string tar;
  EXPECT_TRUE(ExportTar(tree, **store, [&](std::string_view data) -> Status {
                tar += data;
                return Ok();
              }).ok());
  ingest->reset();
  store->reset();
  EXPECT_TRUE(RemoveTree(scratch).ok());
  return tar;
}

inline ByteSource SourceOf(const std::string& data, size_t piece = 4096) {
  return [&data, piece, at = size_t{0}]() mutable -> Result<std::string_view> {
    const std::string_view next = std::string_view(data).substr(at, piece);
    at += next.size();
    return next;
  };
}

inline size_t CountFiles(const std::string& directory) {
  size_t count = 0;
  DIR* stream = ::opendir(directory.c_str());
  if (stream == nullptr) return 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    count += entry->d_type == DT_DIR ? CountFiles(directory + "/" + name) : 1;
  }
  ::closedir(stream);
  return count;
}

class RepositoryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-repo.");
    ASSERT_OK(created);
    directory_.emplace(std::move(*created));
    tar_ = MakeTar(
        directory_->path() + "/scratch",
        {{"big", std::string(70'000, 'b')}, {"small", "s"}, {"other", std::string(9000, 'o')}});
    Reopen();
  }
  void TearDown() override {
    EXPECT_EQ(CountFiles(Store("staging")), 0u) << "staging is not empty";
  }

  void Reopen() {
    repository_.reset();
    auto opened = Repository::Open(State(), {}, options_);
    ASSERT_OK(opened);
    repository_ = std::move(*opened);
  }
  std::string State() const { return directory_->path() + "/state"; }
  std::string Store(const std::string& name) const { return State() + "/store/" + name; }

  Result<v1::ImportResult> Import(uid_t caller, const std::string& reference,
                                  const std::string& tar,
                                  const std::function<void(v1::ImportOptions*)>& more = {}) {
    v1::ImportOptions options;
    options.set_reference(reference);
    if (more) more(&options);
    return repository_->Import(caller, options, SourceOf(tar), cancel_, {});
  }
  std::vector<std::string> Names(uid_t caller, bool all) {
    v1::ListRequest request;
    request.set_all_visible(all);
    std::vector<std::string> names;
    auto page = repository_->images().List(caller, request);
    EXPECT_TRUE(page.ok());
    for (const v1::Image& image : page->images()) names.push_back(DisplayName(image));
    return names;
  }
  Status Share(uid_t caller, const std::string& reference, v1::Visibility visibility) {
    v1::ShareRequest request;
    request.set_reference(reference);
    request.set_visibility(visibility);
    auto shared = repository_->images().Share(caller, request);
    return shared.ok() ? Ok() : Status(shared.error());
  }
  Result<v1::DeleteResponse> Delete(uid_t caller, const std::string& reference,
                                    bool force = false) {
    v1::DeleteRequest request;
    request.set_reference(reference);
    request.set_force(force);
    return repository_->Delete(caller, request);
  }
  Result<v1::AcquireRootResponse> Acquire(uid_t uid, const std::string& reference,
                                          const std::string& lease) {
    v1::AcquireRootRequest request;
    request.set_reference(reference);
    request.set_on_behalf_of_uid(uid);
    request.add_leases(lease);
    return repository_->AcquireRoot(request);
  }
  struct Report {
    v1::FsckResult result;
    std::vector<std::string> problems;
  };
  Report Fsck() {
    Report report;
    auto result = repository_->Fsck(0, "", cancel_, {}, [&](const std::string& problem) {
      report.problems.push_back(problem);
    });
    EXPECT_TRUE(result.ok());
    if (result.ok()) report.result = *result;
    return report;
  }
  // The first object file on disk.
  std::string AnObject(const Digest& digest) const {
    return Store("objects/") + ObjectStore::RelativePath(digest);
  }

  std::optional<TemporaryDirectory> directory_;
  std::string tar_;
  CatalogOptions options_;
  std::unique_ptr<Repository> repository_;
  CancelToken cancel_;
};

inline void Overwrite(const std::string& path) {
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  auto fd = Open(path, O_WRONLY);
  ASSERT_OK(fd);
  ASSERT_OK(PWriteAll(fd->get(), "X", 100));
}

}  // namespace strata::imaged
