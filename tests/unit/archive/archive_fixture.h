// A store, a directory of sample files of every kind, and commands that archive it.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <string>
#include <vector>

#include "common/subprocess.h"
#include "imaged/archive/directory_import.h"
#include "imaged/archive/directory_tar.h"
#include "imaged/archive/tar_export.h"
#include "imaged/archive/tar_import.h"
#include "tests/unit/archive/tree_text.h"
#include "tests/unit/store/store_fixture.h"

namespace strata::imaged {

// Hands `bytes` out in pieces of `piece` bytes. `bytes` must outlive it.
inline ByteSource SourceOf(const std::string& bytes, size_t piece = 64 * 1024) {
  return [&bytes, piece, at = size_t{0}]() mutable -> Result<std::string_view> {
    const std::string_view next = std::string_view(bytes).substr(at, piece);
    at += next.size();
    return next;
  };
}

inline ByteSink SinkInto(std::string* bytes) {
  return [bytes](std::string_view data) -> Status {
    *bytes += data;
    return Ok();
  };
}

// A member that tests write by hand, in order to say what no tar would.
struct HandMadeEntry {
  std::string path;
  uint32_t mode = S_IFREG | 0644;
  std::string content;
  std::string link;
  bool hard_link = false;
  dev_t rdev = 0;
  std::vector<Xattr> xattrs;
};

inline std::string HandMadeTar(const std::vector<HandMadeEntry>& entries, bool finish = true) {
  std::string tar;
  PaxWriter writer(SinkInto(&tar));
  for (const HandMadeEntry& from : entries) {
    PaxEntry entry;
    entry.path = from.path;
    entry.mode = from.mode;
    entry.rdev = from.rdev;
    entry.link = from.link;
    entry.hard_link = from.hard_link;
    entry.xattrs = from.xattrs;
    entry.size = from.content.size();
    EXPECT_TRUE(writer.Begin(entry).ok());
    EXPECT_TRUE(writer.Write(from.content).ok());
    EXPECT_TRUE(writer.End().ok());
  }
  EXPECT_TRUE(writer.Finish().ok());
  if (!finish) tar.resize(tar.size() - 1024);
  return tar;
}

class ArchiveTest : public StoreTest {
 protected:
  std::string source() const { return dir() + "/source"; }

  // Directories, files of all size classes, links, times, devices, attributes, ACLs, holes, bytes
  // that are no UTF-8.
  void MakeSample() {
    MakeDir("", 0755);
    MakeDir("etc", 0755);
    MakeDir("etc/deep", 02750);
    MakeFile("etc/empty", "");
    MakeFile("etc/inline", std::string(512, 'i'));
    MakeFile("etc/object", std::string(513, 'o'));
    MakeFile("big", std::string(3 << 20, 'b') + "end");
    MakeFile("suid", "#!/bin/sh\n");
    ASSERT_EQ(::chmod(At("suid").c_str(), 04755), 0);
    ASSERT_EQ(::chown(At("etc/object").c_str(), 1234, 5'000'000), 0);
    ASSERT_EQ(::symlink("../some/where", At("etc/link").c_str()), 0);
    ASSERT_EQ(::symlink(std::string(300, 't').c_str(), At("etc/long-link").c_str()), 0);
    ASSERT_EQ(::link(At("etc/object").c_str(), At("etc/object-again").c_str()), 0);
    ASSERT_EQ(::link(At("etc/link").c_str(), At("etc/link-again").c_str()), 0);
    ASSERT_EQ(::mkfifo(At("fifo").c_str(), 0622), 0);
    ASSERT_EQ(::mknod(At("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    ASSERT_EQ(::mknod(At("disk").c_str(), S_IFBLK | 0660, makedev(259, 70'000)), 0);
    MakeFile("caf\xc3\xa9 \xe4\xbd\xa0", "utf-8");
    MakeFile("nfd e\xcc\x81", "decomposed");
    MakeFile("latin \xe9\xff", "not utf-8");
    MakeFile("new\nline", "n");
    std::string deep = "long";
    for (int i = 0; i < 5; ++i) {
      MakeDir(deep, 0700);
      deep += "/" + std::string(80, static_cast<char>('a' + i));
    }
    MakeFile(deep, "far down");
    MakeSparse("sparse", 40 << 20, {3 << 20, 30 << 20});
    MakeSparse("hole", 5 << 20, {});
    Attribute("etc/inline", "user.note", std::string("with\0nul and\nnewline", 20));
    Attribute("etc/inline", "user.empty", "");
    Attribute("etc/inline", "user.a=b%c", "keyword");
    Attribute("etc/object", "trusted.overlay.opaque", "y");
    Attribute("etc", "trusted.overlay.redirect", "/elsewhere");
    // VFS_CAP_REVISION_2, cap_net_raw=ep.
    Attribute("suid", "security.capability",
              std::string("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
    Run({"setfacl", "-m", "u:1234:rwx,g:77:r-x,m::r-x", At("etc/inline")});
    Run({"setfacl", "-m", "d:u:99:rwx", At("etc/deep")});
    const timespec times[2] = {{1, 2}, {1'600'000'000, 123'456'789}};
    ASSERT_EQ(::utimensat(AT_FDCWD, At("etc/inline").c_str(), times, 0), 0);
    const timespec before_1970[2] = {{1, 2}, {-2, 500'000'000}};
    ASSERT_EQ(::utimensat(AT_FDCWD, At("etc/empty").c_str(), before_1970, 0), 0);
  }

  std::string At(const std::string& path) const { return source() + "/" + path; }
  void MakeDir(const std::string& path, mode_t mode) {
    ASSERT_EQ(::mkdir(At(path).c_str(), mode), 0) << path;
    ASSERT_EQ(::chmod(At(path).c_str(), mode), 0) << path;
  }
  void MakeFile(const std::string& path, std::string_view content) {
    auto fd = Open(At(path), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(fd.ok()) << fd.error().message();
    ASSERT_TRUE(WriteAll(fd->get(), content).ok());
  }
  void MakeSparse(const std::string& path, off_t size, const std::vector<uint64_t>& data_at) {
    auto fd = Open(At(path), O_RDWR | O_CREAT, 0644);
    ASSERT_TRUE(fd.ok());
    for (const uint64_t at : data_at) {
      ASSERT_TRUE(PWriteAll(fd->get(), std::string(5000, 'd'), at).ok());
    }
    ASSERT_EQ(::ftruncate(fd->get(), size), 0);
  }
  void Attribute(const std::string& path, const char* name, const std::string& value) {
    ASSERT_EQ(::lsetxattr(At(path).c_str(), name, value.data(), value.size(), 0), 0) << name;
  }
  static void Run(const std::vector<std::string>& argv) {
    const auto ran = RunChecked(argv);
    ASSERT_TRUE(ran.ok()) << ran.error().message();
  }
  // The archive that a command writes to dir()/a.tar.
  std::string Archived(std::vector<std::string> argv) {
    Run(argv);
    auto bytes = ReadFile(dir() + "/a.tar", 1u << 30);
    EXPECT_TRUE(bytes.ok());
    return bytes.ok() ? std::move(*bytes) : "";
  }

  Result<ImportedLayer> Import(const std::string& tar, Ingest& ingest, bool as_root = true) {
    TarImportOptions options;
    options.caller_is_root = as_root;
    return ImportTar(SourceOf(tar), ingest, options);
  }
  Result<ImportedLayer> Import(const std::string& tar, bool as_root = true) {
    const auto ingest = Start();
    return Import(tar, *ingest, as_root);
  }
  // What the import of `tar` says when it refuses.
  Error Refusal(const std::string& tar, bool as_root = true) {
    const auto imported = Import(tar, as_root);
    if (!imported.ok()) return imported.error();
    ADD_FAILURE() << "imported:\n" << TreeText(imported->tree);
    return Error(Code::kInternal, "imported");
  }
  std::string DirectoryText() {
    const auto ingest = Start();
    DirectoryImportOptions options;
    options.caller_is_root = true;
    const auto imported = ImportDirectory(source(), *ingest, options);
    EXPECT_TRUE(imported.ok()) << imported.error().message();
    return imported.ok() ? TreeText(imported->tree) : "";
  }
};

}  // namespace strata::imaged
