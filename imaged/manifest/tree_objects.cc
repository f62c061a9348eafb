#include "imaged/manifest/tree_objects.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <mutex>
#include <unordered_set>

#include "common/file_io.h"
#include "common/log.h"
#include "common/parallel.h"
#include "common/printable.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {
namespace {

constexpr size_t kObjectsAtOnce = 512;  // So many are a piece of work for one thread.

// What the record says of a complete tree: the format's version, then which file the tree is (one
// that takes its path has another inode or another time of change).
Result<std::string> RecordText(int tree, const std::string& objects_dir) {
  struct stat st;
  if (::fstat(tree, &st) != 0) return Errno("stat of a tree");
  return "strata complete 1\n" + std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) + ":" +
         std::to_string(st.st_ctim.tv_sec) + "." + std::to_string(st.st_ctim.tv_nsec) + "\n" +
         objects_dir + "\n";
}

bool HasRecord(const std::string& tree_path, const std::string& text) {
  const auto found = ReadFile(CompletenessRecord(tree_path), 8192);
  return found.ok() && *found == text;
}

Result<std::vector<ObjectDefect>> ObjectsOf(const ErofsReader& reader) {
  ASSIGN_OR_RETURN(const Tree tree, reader.LoadTree());
  std::unordered_set<Digest, DigestHash> seen;
  std::vector<ObjectDefect> objects;
  RETURN_IF_ERROR(tree.Walk([&](const std::string& path, InodeIndex index) -> Status {
    const Inode& inode = tree.inode(index);
    if (!inode.object.IsZero() && seen.insert(inode.object).second) {
      objects.push_back({inode.object, path, inode.size, std::nullopt});
    }
    return Ok();
  }));
  return objects;
}

// False when the object is as it should be.
Result<bool> IsDefective(int objects_dir, ObjectDefect* object) {
  struct stat st;
  if (::fstatat(objects_dir, object->digest.ObjectPath().c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return true;
    return Errno("stat of object " + object->digest.ToString());
  }
  object->found_bytes = static_cast<uint64_t>(st.st_size);
  return *object->found_bytes != object->size_bytes;
}

Status WriteRecord(const std::string& tree_path, const std::string& text) {
  return WriteFileAtomically(CompletenessRecord(tree_path), text, 0644);
}

}  // namespace

std::string ObjectDefect::Describe() const {
  std::string text = "object " + digest.ToString() + " of /" + Printable(path);
  if (!found_bytes.has_value()) return text + " is missing";
  return text + " has " + std::to_string(*found_bytes) + " bytes instead of " +
         std::to_string(size_bytes);
}

std::string CompletenessRecord(const std::string& tree_path) { return tree_path + ".complete"; }

Result<std::vector<ObjectDefect>> CheckTreeObjects(const std::string& tree_path,
                                                   const std::string& objects_dir) {
  ASSIGN_OR_RETURN(const auto reader, ErofsReader::Open(tree_path), tree_path);
  ASSIGN_OR_RETURN(std::vector<ObjectDefect> objects, ObjectsOf(*reader), tree_path);
  ASSIGN_OR_RETURN(const UniqueFd folder, Open(objects_dir, O_PATH | O_DIRECTORY));
  std::vector<ObjectDefect> defects;
  std::mutex mutex;  // Guards defects.
  const size_t pieces = (objects.size() + kObjectsAtOnce - 1) / kObjectsAtOnce;
  RETURN_IF_ERROR(ParallelFor(pieces, [&](size_t piece) -> Status {
    const size_t end = std::min(objects.size(), (piece + 1) * kObjectsAtOnce);
    for (size_t i = piece * kObjectsAtOnce; i < end; ++i) {
      ASSIGN_OR_RETURN(const bool defective, IsDefective(folder.get(), &objects[i]));
      if (!defective) continue;
      const std::lock_guard lock(mutex);
      defects.push_back(objects[i]);
    }
    return Ok();
  }));
  return defects;
}

Result<std::vector<ObjectDefect>> EnsureTreeObjects(const std::string& tree_path,
                                                    const std::string& objects_dir,
                                                    const RepairObjects& repair) {
  ASSIGN_OR_RETURN(const UniqueFd tree, Open(tree_path, O_RDONLY));
  ASSIGN_OR_RETURN(const std::string text, RecordText(tree.get(), objects_dir));
  if (HasRecord(tree_path, text)) return std::vector<ObjectDefect>();
  // Twenty mounts of a new image at once: one looks, the others wait for what it says.
  while (::flock(tree.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Errno("lock " + tree_path);
  }
  if (HasRecord(tree_path, text)) return std::vector<ObjectDefect>();
  ASSIGN_OR_RETURN(std::vector<ObjectDefect> defects, CheckTreeObjects(tree_path, objects_dir));
  if (!defects.empty() && repair) {
    repair(defects);
    ASSIGN_OR_RETURN(defects, CheckTreeObjects(tree_path, objects_dir));
  }
  if (!defects.empty()) return defects;
  // Without the record every mount looks again, which is slower and right.
  if (Status written = WriteRecord(tree_path, text); !written.ok()) {
    LOG_DEBUG(written.error().message());
  }
  return defects;
}

}  // namespace strata::imaged
