#include "tools/vimage/build/node_mounts.h"

#include <sys/stat.h>

#include <cstdio>

#include "tools/vimage/build/tar_entries.h"

namespace strata::tools {
namespace {

// What mounts show; and, on a tmpfs that no save sees, which directories were made for them.
constexpr char kContentDirectory[] = "/.build-mounts";
constexpr char kNoteDirectory[] = "/dev/shm/.build-mounts";
constexpr char kNeeds[] =
    "RUN --mount needs sh, mount, umount, tar, mkdir, chmod, chown, rm and rmdir";

std::string Octal(uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof(text), "%o", mode);
  return text;
}

std::string ContentOf(size_t index) {
  return std::string(kContentDirectory) + "/" + std::to_string(index);
}
std::string NoteOf(size_t index) {
  return std::string(kNoteDirectory) + "/" + std::to_string(index);
}

Status WriteTar(const NodeMount& mount, const imaged::ByteSink& sink) {
  GnuTarWriter writer(sink);
  RETURN_IF_ERROR(mount.entries([&](const std::string& relative, imaged::PaxEntry entry,
                                    const FileContent& content) -> Status {
    if (relative.empty() && !mount.is_file) return Ok();          // The place itself is there.
    if (S_ISCHR(entry.mode) || S_ISBLK(entry.mode)) return Ok();  // No container makes one.
    entry.path = mount.is_file ? kMountedFile : relative;
    RETURN_IF_ERROR(writer.Begin(entry));
    return content([&](std::string_view bytes) { return writer.Write(bytes); });
  }));
  return writer.Finish();
}

Status MakePoint(BuildNode& node, const NodeMount& mount, size_t index) {
  // Directories that are made for it are noted, the innermost first.
  return node.Script(
      "set -e; umask 077; mkdir -p \"$1\"; umask 022; t=$3; n=$2; : >\"$n\"; : >\"$n.file\"; "
      "if [ \"$4\" = file ]; then p=${t%/*}; else p=$t; fi; q=$p; "
      "while [ -n \"$p\" ] && [ ! -d \"$p\" ]; do echo \"$p\" >>\"$n\"; p=${p%/*}; done; "
      "mkdir -p \"$q/\"; "
      "if [ \"$4\" = file ] && [ ! -e \"$t\" ]; then : >\"$t\"; echo made >\"$n.file\"; fi",
      {kNoteDirectory, NoteOf(index), mount.mount.target, mount.is_file ? "file" : "tree"}, kNeeds);
}

Status Fill(BuildNode& node, const NodeMount& mount, size_t index) {
  const std::string place = ContentOf(index);
  RETURN_IF_ERROR(node.Script("umask 077; mkdir -p \"$1\" && mkdir \"$2\"",
                              {kContentDirectory, place}, kNeeds));
  if (mount.entries) {
    RETURN_IF_ERROR(
        node.Script("exec tar -xpf - -C \"$1\"", {place}, kNeeds,
                    [&](const imaged::ByteSink& sink) { return WriteTar(mount, sink); }));
  }
  return node.Script(
      "chown \"$2\" \"$1\" && chmod \"$3\" \"$1\"",
      {place, std::to_string(mount.mount.uid) + ":" + std::to_string(mount.mount.gid),
       Octal(mount.mount.mode)},
      kNeeds);
}

Status Mount(BuildNode& node, const NodeMount& mount, size_t index) {
  RETURN_IF_ERROR(MakePoint(node, mount, index));
  const TreeMount& of = mount.mount;
  if (of.kind == TreeMount::Kind::kTmpfs) {
    std::string options = "mode=1777";
    if (of.size_bytes != 0) options += ",size=" + std::to_string(of.size_bytes);
    return node.Script("exec mount -t tmpfs -o \"$2\" tmpfs \"$1\"", {of.target, options}, kNeeds);
  }
  RETURN_IF_ERROR(Fill(node, mount, index));
  return node.Script(
      "mount -o bind \"$1\" \"$2\" && "
      "if [ \"$3\" = ro ]; then mount -o remount,bind,ro \"$2\"; fi",
      {ContentOf(index) + (mount.is_file ? std::string("/") + kMountedFile : ""), of.target,
       of.read_only ? "ro" : "rw"},
      kNeeds);
}

}  // namespace

Status MountTrees(BuildNode& node, const std::vector<NodeMount>& mounts) {
  for (size_t i = 0; i < mounts.size(); ++i) {
    RETURN_IF_ERROR(Mount(node, mounts[i], i), "the mount at " + mounts[i].mount.target);
  }
  return Ok();
}

Status UnmountTrees(BuildNode& node, const std::vector<NodeMount>& mounts) {
  for (size_t i = mounts.size(); i-- > 0;) {
    // What still runs in there keeps its own view of it.
    RETURN_IF_ERROR(
        node.Script("umount \"$1\" 2>/dev/null || umount -l \"$1\" || exit 1; "
                    "if [ -s \"$2.file\" ]; then rm \"$1\"; fi; "
                    "while read -r p; do rmdir \"$p\" 2>/dev/null || true; done <\"$2\"",
                    {mounts[i].mount.target, NoteOf(i)}, kNeeds));
    if (!mounts[i].keep) continue;
    RETURN_IF_ERROR(mounts[i].keep([&](const imaged::ByteSink& sink) {
      return node.Script("exec tar -cf - -C \"$1\" .", {ContentOf(i)}, kNeeds, nullptr, sink);
    }));
  }
  if (mounts.empty()) return Ok();
  return node.Script("rm -rf \"$1\" \"$2\"", {kContentDirectory, kNoteDirectory}, kNeeds);
}

}  // namespace strata::tools
