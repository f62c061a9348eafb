// Many processes at one lower file at the same moment: some write, others read, map and execute it.
// Nobody may see an error or wrong bytes, and nothing that was written may be lost. On every
// backend.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "common/file_io.h"
#include "tests/conformance/backends.h"

namespace strata::conformance {
namespace {

constexpr int kWorkers = 12;
constexpr int kFiles = 16;
constexpr size_t kSize = 200'000;
constexpr size_t kBlock = 4096;
constexpr char kScript[] = "#!/bin/sh\nexit 7\n";

std::string Content(int file) {
  std::string content(kSize, '\0');
  for (size_t i = 0; i < kSize; ++i) {
    content[i] = static_cast<char>('a' + (i / 7 + static_cast<size_t>(file)) % 26);
  }
  return content;
}

std::string Name(const char* prefix, int number) { return prefix + std::to_string(number); }
std::string Record(int worker) {
  return "worker " + std::string(1, static_cast<char>('A' + worker)) + "\n";
}

// Processes that start each piece of their work together.
class Crew {
 public:
  Crew() {
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    shared_ = new (memory) Shared();
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    EXPECT_EQ(pthread_barrier_init(&shared_->barrier, &attributes, kWorkers), 0);
  }
  ~Crew() { ::munmap(shared_, sizeof(Shared)); }

  // `work(worker, file)` answers what went wrong, or "".
  void Run(const std::function<std::string(int worker, int file)>& work) {
    std::vector<pid_t> workers;
    for (int worker = 0; worker < kWorkers; ++worker) {
      const pid_t pid = ::fork();
      ASSERT_GE(pid, 0);
      if (pid == 0) Work(worker, work);
      workers.push_back(pid);
    }
    for (const pid_t pid : workers) {
      int status = 0;
      EXPECT_EQ(::waitpid(pid, &status, 0), pid);
      EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(std::string(shared_->text), "");
  }

 private:
  struct Shared {
    pthread_barrier_t barrier;
    std::atomic<bool> failed{false};
    char text[300] = {};  // Of the first failure.
  };

  [[noreturn]] void Work(int worker, const std::function<std::string(int, int)>& work) {
    for (int file = 0; file < kFiles; ++file) {
      pthread_barrier_wait(&shared_->barrier);
      const std::string text = work(worker, file);
      if (!text.empty() && !shared_->failed.exchange(true)) {
        ::snprintf(shared_->text, sizeof(shared_->text), "worker %d, file %d: %s", worker, file,
                   text.c_str());
      }
    }
    ::_exit(0);
  }

  Shared* shared_;
};

std::string Failed(const std::string& what) { return Errno(what).message(); }

std::string WriteBlock(const std::string& path, int worker) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return Failed("open for writing");
  const std::string block(kBlock, static_cast<char>('A' + worker));
  if (::pwrite(fd.get(), block.data(), kBlock, static_cast<off_t>(kBlock) * worker) !=
      static_cast<ssize_t>(kBlock)) {
    return Failed("pwrite");
  }
  std::string again(kBlock, '\0');
  if (::pread(fd.get(), again.data(), kBlock, static_cast<off_t>(kBlock) * worker) !=
      static_cast<ssize_t>(kBlock)) {
    return Failed("pread");
  }
  return again == block ? "" : "a writer does not see what it wrote";
}

// Every byte is the image's, or in a writer's block that writer's.
std::string CheckBytes(std::string_view seen, const std::string& image) {
  if (seen.size() != image.size()) return "size " + std::to_string(seen.size());
  for (size_t i = 0; i < seen.size(); ++i) {
    // Looked at once: in a mapping it may change at any time.
    const char byte = *static_cast<const volatile char*>(&seen[i]);
    const bool written = i < kBlock * kWorkers && byte == static_cast<char>('A' + i / kBlock);
    if (byte != image[i] && !written) return "wrong byte at " + std::to_string(i);
  }
  return "";
}

std::string ReadAndCheck(const std::string& path, const std::string& image) {
  for (int i = 0; i < 4; ++i) {
    const auto seen = ReadFile(path);
    if (!seen.ok()) return seen.error().message();
    if (std::string text = CheckBytes(*seen, image); !text.empty()) return "read: " + text;
  }
  return "";
}

std::string MapAndCheck(const std::string& path, const std::string& image) {
  for (int i = 0; i < 4; ++i) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return Failed("open to map");
    void* map =
        ::mmap(nullptr, kSize, PROT_READ, i % 2 == 0 ? MAP_SHARED : MAP_PRIVATE, fd.get(), 0);
    if (map == MAP_FAILED) return Failed("mmap");
    const std::string text = CheckBytes({static_cast<const char*>(map), kSize}, image);
    ::munmap(map, kSize);
    if (!text.empty()) return "map: " + text;
  }
  return "";
}

std::string Execute(const std::string& path) {
  for (int i = 0; i < 3; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl(path.c_str(), path.c_str(), nullptr);
      ::_exit(errno == ETXTBSY ? 7 : 100);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return Failed("fork");
    // 126: the interpreter could not open the script, which a writer has replaced meanwhile.
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) {
      return "the program ends with " + std::to_string(status);
    }
  }
  return "";
}

class CopyUpRace : public ::testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override {
    ::umask(022);
    auto directory = TemporaryDirectory::Create("/var/tmp", "layerfs-races.");
    ASSERT_TRUE(directory.ok()) << directory.error().message();
    directory_.emplace(std::move(*directory));
    testing::TestImage image;
    image.Directory("dir");
    image.Directory("dir/sub");
    for (int i = 0; i < kFiles; ++i) {
      image.File(Name("file", i), Content(i));
      image.File(Name("run", i), kScript, {.mode = 0755});
      image.File(Name("one", i), Content(i).substr(0, 3000));
      image.HardLink(Name("two", i), Name("one", i));
      image.HardLink(Name("dir/sub/three", i), Name("one", i));
      image.File(Name("dir/inner", i), Content(i).substr(0, 3000));
    }
    auto backend = Backend::Create(GetParam(), directory_->path(), image);
    ASSERT_TRUE(backend.ok()) << backend.error().message();
    backend_ = std::move(*backend);
  }
  void TearDown() override {
    if (backend_ == nullptr) return;
    const Status unmounted = backend_->Unmount();
    EXPECT_TRUE(unmounted.ok()) << unmounted.error().message();
  }
  std::string At(const std::string& name) const { return backend_->mountpoint() + "/" + name; }
  // Runs `check` as things are, and after the other driver has mounted the same upper.
  void Check(const std::function<void()>& check) {
    check();
    const Status remounted = backend_->Remount(/*other_driver=*/true);
    ASSERT_TRUE(remounted.ok()) << remounted.error().message();
    check();
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<Backend> backend_;
};

TEST_P(CopyUpRace, WritersReadersAndMappersOfOneFile) {
  Crew().Run([&](int worker, int file) -> std::string {
    const std::string path = At(Name("file", file));
    const std::string image = Content(file);
    if (worker % 3 == 0) return ReadAndCheck(path, image);
    if (worker % 3 == 1) return MapAndCheck(path, image);
    return WriteBlock(path, worker);
  });
  Check([&] {
    for (int file = 0; file < kFiles; ++file) {
      std::string expected = Content(file);
      for (size_t worker = 2; worker < kWorkers; worker += 3) {
        expected.replace(worker * kBlock, kBlock, kBlock, static_cast<char>('A' + worker));
      }
      const auto seen = ReadFile(At(Name("file", file)));
      ASSERT_TRUE(seen.ok()) << seen.error().message();
      EXPECT_TRUE(*seen == expected) << "file " << file;
    }
  });
}

TEST_P(CopyUpRace, AProgramRunsWhileItIsOpenedForWriting) {
  Crew().Run([&](int worker, int file) -> std::string {
    const std::string path = At(Name("run", file));
    if (worker % 2 == 0) return Execute(path);
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
    if (!fd.valid()) return errno == ETXTBSY ? "" : Failed("open a program");
    return ::write(fd.get(), "#\n", 2) == 2 ? "" : Failed("write to a program");
  });
}

TEST_P(CopyUpRace, EveryNameOfALinkIsWrittenAtOnce) {
  Crew().Run([&](int worker, int file) -> std::string {
    const char* const names[] = {"one", "two", "dir/sub/three"};
    const std::string path = At(Name(names[worker % 3], file));
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (!fd.valid()) return Failed("open a link");
    const std::string record = Record(worker);
    if (::write(fd.get(), record.data(), record.size()) != static_cast<ssize_t>(record.size())) {
      return Failed("append");
    }
    if (worker == 1 && ::chmod(path.c_str(), 0640) != 0) return Failed("chmod");
    struct stat st;
    if (::fstat(fd.get(), &st) != 0) return Failed("fstat");
    return st.st_nlink == 3 ? "" : "link count " + std::to_string(st.st_nlink);
  });
  Check([&] {
    for (int file = 0; file < kFiles; ++file) {
      std::set<ino_t> numbers;
      for (const char* name : {"one", "two", "dir/sub/three"}) {
        struct stat st = {};
        ASSERT_EQ(::stat(At(Name(name, file)).c_str(), &st), 0);
        EXPECT_EQ(st.st_nlink, 3u);
        EXPECT_EQ(st.st_mode & 07777, 0640u);
        numbers.insert(st.st_ino);
        const auto seen = ReadFile(At(Name(name, file)));
        ASSERT_TRUE(seen.ok()) << seen.error().message();
        EXPECT_EQ(seen->substr(0, 3000), Content(file).substr(0, 3000));
        EXPECT_EQ(seen->size(), 3000 + kWorkers * Record(0).size());
        for (int worker = 0; worker < kWorkers; ++worker) {
          EXPECT_NE(seen->find(Record(worker)), std::string::npos) << "lost: " << Record(worker);
        }
      }
      EXPECT_EQ(numbers.size(), 1u) << "file " << file;
    }
  });
}

TEST_P(CopyUpRace, AttributesDataAndNewNamesOfOneFile) {
  Crew().Run([&](int worker, int file) -> std::string {
    const std::string path = At(Name("one", file));
    const char letter = static_cast<char>('a' + worker);
    const std::string attribute = std::string("user.") + letter;
    const std::string link = At(Name("link", file) + letter);
    switch (worker % 4) {
      case 0:
        return ::setxattr(path.c_str(), attribute.c_str(), "v", 1, 0) == 0 ? ""
                                                                           : Failed("setxattr");
      case 1:
        return ::link(path.c_str(), link.c_str()) == 0 ? "" : Failed("link");
      case 2:
        return ::chown(path.c_str(), 7, 8) == 0 ? "" : Failed("chown");
      default: {
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (!fd.valid()) return Failed("open");
        return ::pwrite(fd.get(), &letter, 1, worker) == 1 ? "" : Failed("pwrite");
      }
    }
  });
  Check([&] {
    for (int file = 0; file < kFiles; ++file) {
      struct stat st = {};
      ASSERT_EQ(::stat(At(Name("two", file)).c_str(), &st), 0);
      EXPECT_EQ(st.st_nlink, 3u + kWorkers / 4);
      EXPECT_EQ(st.st_uid, 7u);
      std::string expected = Content(file).substr(0, 3000);
      for (size_t worker = 3; worker < kWorkers; worker += 4) {
        expected[worker] = static_cast<char>('a' + worker);
      }
      for (const std::string& name : {Name("dir/sub/three", file), Name("link", file) + "b"}) {
        const auto seen = ReadFile(At(name));
        ASSERT_TRUE(seen.ok()) << seen.error().message();
        EXPECT_TRUE(*seen == expected) << name;
      }
      for (const char* attribute : {"user.a", "user.e", "user.i"}) {
        char value[2];
        EXPECT_EQ(::getxattr(At(Name("two", file)).c_str(), attribute, value, 2), 1) << attribute;
      }
    }
  });
}

TEST_P(CopyUpRace, FilesOfADirectoryThatIsBeingRenamed) {
  Crew().Run([&](int worker, int file) -> std::string {
    const std::string one = At("dir"), other = At("moved");
    if (worker == 0) {
      for (int i = 0; i < 6; ++i) {
        if (::rename((i % 2 == 0 ? one : other).c_str(), (i % 2 == 0 ? other : one).c_str()) != 0) {
          return Failed("rename");
        }
      }
      return "";
    }
    // Where it is now is not known; that it is in one of both places is.
    for (int attempt = 0; attempt < 10'000; ++attempt) {
      const std::string path = (attempt % 2 == 0 ? one : other) + Name("/inner", file);
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
      if (!fd.valid() && errno == ENOENT) continue;
      if (!fd.valid()) return Failed("open in a moving directory");
      const std::string record = Record(worker);
      return ::write(fd.get(), record.data(), record.size()) == static_cast<ssize_t>(record.size())
                 ? ""
                 : Failed("append");
    }
    return "the file was never found";
  });
  Check([&] {
    for (int file = 0; file < kFiles; ++file) {
      const auto seen = ReadFile(At(Name("dir/inner", file)));
      ASSERT_TRUE(seen.ok()) << seen.error().message();
      EXPECT_EQ(seen->size(), 3000 + (kWorkers - 1) * Record(0).size());
    }
  });
}

TEST_P(CopyUpRace, OneOfManyTruncatingWritersComesLast) {
  Crew().Run([&](int worker, int file) -> std::string {
    const std::string path = At(Name("file", file));
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    if (!fd.valid()) return Failed("open to truncate");
    const std::string record = Record(worker);
    return ::pwrite(fd.get(), record.data(), record.size(), 0) ==
                   static_cast<ssize_t>(record.size())
               ? ""
               : Failed("pwrite");
  });
  Check([&] {
    for (int file = 0; file < kFiles; ++file) {
      const auto seen = ReadFile(At(Name("file", file)));
      ASSERT_TRUE(seen.ok()) << seen.error().message();
      bool from_one = seen->empty();  // The last truncation may follow the last write.
      for (int worker = 0; worker < kWorkers; ++worker) from_one |= *seen == Record(worker);
      EXPECT_TRUE(from_one) << *seen;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Posix, CopyUpRace, ::testing::ValuesIn(AvailableBackends()),
                         [](const auto& parameter) {
                           return std::string(BackendName(parameter.param));
                         });

}  // namespace
}  // namespace strata::conformance
