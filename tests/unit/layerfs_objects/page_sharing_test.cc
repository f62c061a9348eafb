// Processes in different roots that map the same file share its pages: whatever the driver, and
// whether the object came through the object mount or lay in the folder.
#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <vector>

#include "tests/unit/layerfs_objects/lazy_root_fixture.h"

namespace strata::layerfs {
namespace {

struct Residence {
  uint64_t rss_kib = 0;
  uint64_t pss_kib = 0;
};

// A process that has mapped all of a file and waits.
class Mapper {
 public:
  Mapper(int dir_fd, const std::string& path, size_t size) {
    std::array<int, 2> told{};
    EXPECT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      Map(dir_fd, path, size, told[1]);
    }
    ::close(told[1]);
    EXPECT_EQ(::read(told[0], &address_, sizeof(address_)), static_cast<ssize_t>(sizeof(address_)));
    ::close(told[0]);
  }
  ~Mapper() {
    EXPECT_EQ(::kill(pid_, SIGKILL), 0);
    EXPECT_EQ(::waitpid(pid_, nullptr, 0), pid_);
  }
  Mapper(const Mapper&) = delete;

  // Of that mapping alone, from /proc/PID/smaps.
  Residence Resident() const {
    const auto smaps = ReadFile("/proc/" + std::to_string(pid_) + "/smaps");
    EXPECT_TRUE(smaps.ok());
    char start[32];
    std::snprintf(start, sizeof(start), "\n%lx-", address_);
    const size_t at = smaps->find(start);
    EXPECT_NE(at, std::string::npos);
    return {Field(*smaps, "Rss:", at), Field(*smaps, "Pss:", at)};
  }

 private:
  [[noreturn]] static void Map(int dir_fd, const std::string& path, size_t size, int told) {
    const int fd = ::openat(dir_fd, path.c_str(), O_RDONLY | O_CLOEXEC);
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) ::_exit(1);
    unsigned sum = 0;
    for (size_t i = 0; i < size; i += 4096) sum += static_cast<const volatile char*>(memory)[i];
    const auto address = reinterpret_cast<unsigned long>(memory);
    if (::write(told, &address, sizeof(address)) != sizeof(address)) ::_exit(2);
    while (sum != 1) ::pause();  // Until it is killed. Every page was read.
    ::_exit(3);
  }
  static uint64_t Field(const std::string& text, const char* name, size_t from) {
    const size_t at = text.find(name, from);
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + 4));
  }

  pid_t pid_ = -1;
  unsigned long address_ = 0;
};

// Made of whole pages, so that the figures are exact.
class PageSharingTest : public LazyRootTest {
 protected:
  static constexpr size_t kPages = 500;
  static constexpr uint64_t kKib = kPages * 4;
  void SetUp() override {
    content_.reserve(kPages * 4096);
    for (size_t i = 0; i < kPages * 512; ++i) content_ += std::to_string(10000000 + i);
    image_.File("shared", content_, {.mode = 0755});
    LazyRootTest::SetUp();
  }
  std::string content_;
};

TEST_P(PageSharingTest, RootsTheirObjectMountAndTheFolderHaveOneCopyTogether) {
  std::vector<Result<UniqueFd>> roots;
  roots.push_back(Mount(LazySpec("lazy")));
  ASSERT_TRUE(roots[0].ok()) << roots[0].error().message();
  std::vector<std::unique_ptr<Mapper>> mappers;
  // The first one fetches: its pages come through the object mount (kernel driver).
  mappers.push_back(std::make_unique<Mapper>(roots[0]->get(), "shared", content_.size()));
  for (int i = 0; i < 3; ++i) {
    const std::string volume = "volume" + std::to_string(i);
    roots.push_back(Mount(LazySpec(volume, IdShift{.first_id = 100000u * (i + 1)})));
    ASSERT_TRUE(roots.back().ok()) << roots.back().error().message();
    mappers.push_back(std::make_unique<Mapper>(roots.back()->get(), "shared", content_.size()));
  }
  mappers.push_back(std::make_unique<Mapper>(AT_FDCWD, InStore(content_), content_.size()));
  uint64_t pss_kib = 0;
  for (const auto& mapper : mappers) {
    const Residence resident = mapper->Resident();
    EXPECT_EQ(resident.rss_kib, kKib);
    pss_kib += resident.pss_kib;
  }
  // Pss is rounded down to a KiB per mapping.
  EXPECT_LE(pss_kib, kKib);
  EXPECT_GE(pss_kib + mappers.size(), kKib);
}

INSTANTIATE_TEST_SUITE_P(Drivers, PageSharingTest,
                         ::testing::Values(Driver::kKernel, Driver::kFuse),
                         [](const auto& test) { return std::string(DriverName(test.param)); });

}  // namespace
}  // namespace strata::layerfs
