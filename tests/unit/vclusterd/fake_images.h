// FakeHostImageClient: imaged as vclusterd sees it, with one image "tiny" that holds busybox in a
// real EROFS tree over a real object folder. Leases are counted, so that tests see what leaks.
#pragma once

#include <fcntl.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/file_io.h"
#include "imaged/client/host_image_client.h"
#include "imaged/manifest/erofs_writer.h"
#include "imaged/manifest/tree.h"

namespace strata::vcluster {

class FakeHostImageClient final : public imaged::HostImageClient {
 public:
  // Makes tree and object below `dir`.
  static Result<std::unique_ptr<FakeHostImageClient>> Create(const std::string& dir) {
    std::unique_ptr<FakeHostImageClient> fake(new FakeHostImageClient);
    ASSIGN_OR_RETURN(const std::string busybox, ReadFile("/bin/busybox"));
    const Digest digest = Hasher::Of(busybox);
    fake->objects_dir_ = dir + "/objects";
    RETURN_IF_ERROR(MakeDirectories(fake->objects_dir_ + "/" + digest.Hex().substr(0, 2)));
    RETURN_IF_ERROR(WriteFileAtomically(
        fake->objects_dir_ + "/" + digest.Hex().substr(0, 2) + "/" + digest.Hex().substr(2),
        busybox, 0444));
    imaged::Tree tree;
    RETURN_IF_ERROR(AddFiles(digest, busybox.size(), &tree));
    fake->tree_path_ = dir + "/tree";
    ASSIGN_OR_RETURN(UniqueFd fd, Open(fake->tree_path_, O_RDWR | O_CREAT | O_TRUNC, 0444));
    RETURN_IF_ERROR(imaged::WriteErofs(tree, fd.get()));
    return fake;
  }

  Result<imaged::AcquiredRoot> AcquireRoot(const std::string& reference, uint32_t,
                                           const std::vector<std::string>& leases) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back(leases);
    if (reference != "tiny" && reference != "root/tiny:latest") {
      return Error(Code::kNotFound, "no image is called '" + reference + "'");
    }
    if (std::find(leases.begin(), leases.end(), fail_lease_) != leases.end()) {
      return Error(Code::kUnavailable, "imaged went away");
    }
    leases_.insert(leases.begin(), leases.end());
    if (on_acquire) on_acquire();
    return imaged::AcquiredRoot{"blake3:fake", "root/tiny:latest", tree_path_, objects_dir_, {}, {},
                                start_unknown};
  }
  Status ReleaseRoot(const std::string& lease) override {
    const std::lock_guard lock(mutex_);
    if (releases_to_fail > 0 && releases_to_fail-- > 0) {
      return Error(Code::kUnavailable, "imaged went away");
    }
    leases_.erase(lease);
    if (on_release) on_release(lease);
    return Ok();
  }
  Status RecordStart(const std::string& lease, const std::vector<std::string>& paths) override {
    const std::lock_guard lock(mutex_);
    recorded_.emplace_back(lease, paths);
    recorded_changed_.notify_all();
    return Ok();
  }
  // Waits for the first recording of a start.
  std::pair<std::string, std::vector<std::string>> AwaitRecordedStart() {
    std::unique_lock lock(mutex_);
    recorded_changed_.wait_for(lock, std::chrono::seconds(30), [&] { return !recorded_.empty(); });
    return recorded_.empty() ? std::pair<std::string, std::vector<std::string>>()
                             : recorded_.front();
  }
  Result<std::unique_ptr<imaged::SaveSession>> StartSave(
      const imaged::SaveParameters& parameters) override {
    saved_from = parameters.upper_dir;
    saved_uppers.push_back(parameters.upper_dir);
    saved_scrub = parameters.scrub;
    return std::unique_ptr<imaged::SaveSession>(new Session(this));
  }

  Status PullImage(const std::string&, const std::string&, const CancelToken&) override {
    return Error(Code::kUnavailable, "a fake has no peers");
  }
  Status DeleteImage(const std::string&, bool) override { return Ok(); }

  std::set<std::string> leases() {
    const std::lock_guard lock(mutex_);
    return leases_;
  }
  // Of each call for a root, in their order.
  std::vector<std::vector<std::string>> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  void FailLease(const std::string& lease) {
    const std::lock_guard lock(mutex_);
    fail_lease_ = lease;
  }

  std::function<void()> on_acquire;
  std::function<void(const std::string& lease)> on_release;
  std::function<void()> in_second_round;
  bool second_round_fails = false;
  int releases_to_fail = 0;  // So many from now on.
  bool start_unknown = false;
  std::string saved_from;
  std::vector<std::string> saved_uppers;  // Of all saves, in their order.
  imaged::ScrubMode saved_scrub = imaged::ScrubMode::kDefault;

 private:
  class Session final : public imaged::SaveSession {
   public:
    explicit Session(FakeHostImageClient* fake) : fake_(fake) {}
    Status FirstRound() override { return Ok(); }
    Status SecondRound() override {
      if (fake_->in_second_round) fake_->in_second_round();
      if (fake_->second_round_fails) return Error(Code::kResourceExhausted, "the disk is full");
      return Ok();
    }
    Result<imaged::SavedImage> Finish() override {
      return imaged::SavedImage{"root/saved:latest",
                                "blake3:saved",
                                1,
                                2,
                                3,
                                {{"root/.netrc", "credential", "removed", "holds passwords"}},
                                1};
    }

   private:
    FakeHostImageClient* fake_;
  };

  static Result<imaged::InodeIndex> AddEntry(imaged::Tree* tree, imaged::InodeIndex parent,
                                             const std::string& name, imaged::Inode inode) {
    ASSIGN_OR_RETURN(const imaged::InodeIndex index, tree->AddInode(std::move(inode)));
    RETURN_IF_ERROR(tree->Link(parent, name, index));
    return index;
  }
  static imaged::Inode Make(uint32_t mode, std::string data = {}) {
    imaged::Inode inode;
    inode.mode = mode;
    inode.size = S_ISDIR(mode) ? 0 : data.size();
    inode.data = std::move(data);
    return inode;
  }
  static Status AddFiles(const Digest& busybox, uint64_t size, imaged::Tree* tree) {
    imaged::InodeIndex bin = 0;
    imaged::InodeIndex etc = 0;
    for (const char* name : {"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"}) {
      ASSIGN_OR_RETURN(const auto index,
                       AddEntry(tree, imaged::Tree::kRoot, name, Make(S_IFDIR | 0755)));
      if (std::string_view(name) == "bin") bin = index;
      if (std::string_view(name) == "etc") etc = index;
    }
    imaged::Inode program = Make(S_IFREG | 0755);
    program.size = size;
    program.object = busybox;
    RETURN_IF_ERROR(AddEntry(tree, bin, "busybox", std::move(program)));
    for (const char* applet : {"sh", "cat", "sleep", "hostname", "ping", "true", "head"}) {
      RETURN_IF_ERROR(AddEntry(tree, bin, applet, Make(S_IFLNK | 0777, "busybox")));
    }
    for (const char* file : {"hosts", "hostname", "resolv.conf", "machine-id"}) {
      RETURN_IF_ERROR(AddEntry(tree, etc, file, Make(S_IFREG | 0644)));
    }
    return AddEntry(tree, etc, "passwd", Make(S_IFREG | 0644, "root:x:0:0::/root:/bin/sh\n")).ok()
               ? Ok()
               : Status(Error(Code::kInternal, "passwd"));
  }

  std::mutex mutex_;  // Guards leases_ and fail_lease_.
  std::set<std::string> leases_;
  std::vector<std::pair<std::string, std::vector<std::string>>> recorded_;
  std::condition_variable recorded_changed_;
  std::string fail_lease_;
  std::vector<std::vector<std::string>> asked_;
  std::string tree_path_;
  std::string objects_dir_;
};

}  // namespace strata::vcluster
