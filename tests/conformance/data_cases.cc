#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

char* Map(Env& e, int fd, size_t size, int protection, int flags) {
  void* memory = ::mmap(nullptr, size, protection, flags, fd, 0);
  e.True(memory != MAP_FAILED, "mmap", __LINE__);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

const Case kCases[] = {
    {"ABigLowerFileReadsWhole",
     [](Env& e) {
       SAME(STAT("big").st_size, kBigSize);
       HOLDS(READ("big") == BigContent());
     }},
    {"AWriteInTheMiddleOfABigLowerFile",
     [](Env& e) {
       std::string expected = BigContent();
       expected.replace(500000, 3, "XYZ");
       {
         UniqueFd fd = OPEN("big", O_RDWR);
         SAME(::pwrite(fd.get(), "XYZ", 3, 500000), 3);
       }
       HOLDS(READ("big") == expected);
     }},
    {"TruncateShrinksAndGrowsALowerFile",
     [](Env& e) {
       OK(::truncate(e.p("big"), 10));
       SAME(READ("big"), BigContent().substr(0, 10));
       OK(::truncate(e.p("big"), 20));
       SAME(READ("big"), BigContent().substr(0, 10) + std::string(10, '\0'));
     }},
    {"TruncateToTheSameSizeSetsMtime",
     [](Env& e) {
       OK(::truncate(e.p("file"), static_cast<off_t>(std::strlen(kLowerFile))));
       HOLDS(STAT("file").st_mtim.tv_sec > testing::TestImage::kMtime);
     }},
    {"FtruncateThroughAnOpenLowerFile",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDWR);
       OK(::ftruncate(fd.get(), 5));
       SAME(READ("big2"), std::string("zzzzz"));
     }},
    {"FtruncateOfAReadOnlyDescriptorFails",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDONLY);
       FAILS(EINVAL, ::ftruncate(fd.get(), 0));
     }},
    {"TruncateOfADirectoryFails", [](Env& e) { FAILS(EISDIR, ::truncate(e.p("dir"), 0)); }},
    {"APrivateMapReadsALowerFile",
     [](Env& e) {
       UniqueFd fd = OPEN("big", O_RDONLY);
       char* map = Map(e, fd.get(), kBigSize, PROT_READ | PROT_WRITE, MAP_PRIVATE);
       if (map == nullptr) return;
       HOLDS(std::string(map, kBigSize) == BigContent());
       map[0] = '!';  // Stays in this process.
       ::munmap(map, kBigSize);
       HOLDS(READ("big") == BigContent());
     }},
    {"ASharedMapWritesToTheFile",
     [](Env& e) {
       UniqueFd fd = OPEN("big", O_RDWR);
       char* map = Map(e, fd.get(), kBigSize, PROT_READ | PROT_WRITE, MAP_SHARED);
       if (map == nullptr) return;
       map[kBigSize - 1] = '!';
       char byte = 0;
       OK(::pread(fd.get(), &byte, 1, kBigSize - 1));  // Coherent with read at once.
       SAME(byte, '!');
       OK(::msync(map, kBigSize, MS_SYNC));
       ::munmap(map, kBigSize);
       fd.reset();
       SAME(READ("big").back(), '!');
     }},
    {"AWriteShowsInASharedMap",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDWR);
       char* map = Map(e, fd.get(), 4096, PROT_READ, MAP_SHARED);
       if (map == nullptr) return;
       SAME(map[0], 'z');
       OK(::pwrite(fd.get(), "Q", 1, 0));
       SAME(map[0], 'Q');
       ::munmap(map, 4096);
     }},
    {"AMapOutlivesCloseAndUnlink",
     [](Env& e) {
       UniqueFd fd = OPEN("big", O_RDONLY);
       char* map = Map(e, fd.get(), kBigSize, PROT_READ, MAP_SHARED);
       if (map == nullptr) return;
       fd.reset();
       OK(::unlink(e.p("big")));
       SAME(map[23], 'a');
       ::munmap(map, kBigSize);
     }},
    {"AnExecutableMapOfALowerFile",
     [](Env& e) {
       UniqueFd fd = OPEN("big", O_RDONLY);
       char* map = Map(e, fd.get(), 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE);
       if (map != nullptr) ::munmap(map, 4096);
     }},
    {"SparseFilesKeepTheirHoles",
     [](Env& e) {
       UniqueFd fd = e.Open(e.p("holes"), O_CREAT | O_RDWR, 0644, __LINE__);
       OK(::pwrite(fd.get(), "end", 3, 10 << 20));
       OK(::fsync(fd.get()));
       struct stat st = {};
       OK(::fstat(fd.get(), &st));
       HOLDS(st.st_blocks * 512 < (1 << 20));
       SAME(::lseek(fd.get(), 0, SEEK_DATA), 10 << 20);
       SAME(::lseek(fd.get(), 0, SEEK_HOLE), 0);
     }},
    {"SeekHoleOfALowerFileEndsAtItsEnd",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDONLY);
       SAME(::lseek(fd.get(), 0, SEEK_DATA), 0);
       SAME(::lseek(fd.get(), 0, SEEK_HOLE), 200000);
       FAILS(ENXIO, ::lseek(fd.get(), 200000, SEEK_DATA));
     }},
    {"FallocateAllocatesAndGrows",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       OK(::fallocate(fd.get(), 0, 0, 100000));
       SAME(STAT("file").st_size, 100000);
     }},
    {"FallocateCanKeepTheSize",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       OK(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 100000));
       SAME(STAT("file").st_size, static_cast<off_t>(std::strlen(kLowerFile)));
     }},
    {"PunchingAHoleZeroesTheRange",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDWR);
       OK(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
       char text[3] = {1, 1, 1};
       OK(::pread(fd.get(), text, 3, 4095));
       SAME(text[0], 'z');
       SAME(text[1], '\0');
       SAME(STAT("big2").st_size, 200000);
     }},
    {"ZeroRange",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDWR);
       OK(::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 0, 10));
       SAME(READ("big2").substr(0, 11), std::string(10, '\0') + "z");
     }},
    {"CopyFileRangeFromALowerFile",
     [](Env& e) {
       UniqueFd in = OPEN("big", O_RDONLY);
       UniqueFd out = e.Open(e.p("copy"), O_CREAT | O_RDWR, 0644, __LINE__);
       off_t left = kBigSize;
       while (left > 0) {
         const ssize_t n =
             ::copy_file_range(in.get(), nullptr, out.get(), nullptr, static_cast<size_t>(left), 0);
         OK(n);
         if (n <= 0) break;
         left -= n;
       }
       HOLDS(READ("copy") == BigContent());
     }},
    {"CopyFileRangeFromATinyLowerFile",
     [](Env& e) {
       UniqueFd in = OPEN("file", O_RDONLY);
       UniqueFd out = e.Open(e.p("copy"), O_CREAT | O_RDWR, 0644, __LINE__);
       SAME(::copy_file_range(in.get(), nullptr, out.get(), nullptr, 100, 0), 11);
       SAME(READ("copy"), std::string(kLowerFile));
     }},
    {"VectoredReadsAndWrites",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_RDWR);
       char a[] = "ab", b[] = "cde";
       const iovec out[2] = {{a, 2}, {b, 3}};
       SAME(::pwritev(fd.get(), out, 2, 0), 5);
       char x[3], y[3];
       const iovec in[2] = {{x, 2}, {y, 3}};
       SAME(::preadv(fd.get(), in, 2, 0), 5);
       SAME(std::string(x, 2) + std::string(y, 3), std::string("abcde"));
     }},
    {"DirectIoReadsALowerFile",
     [](Env& e) {
       UniqueFd fd = OPEN("big2", O_RDONLY | O_DIRECT);
       alignas(4096) static char buffer[8192];
       SAME(::pread(fd.get(), buffer, sizeof(buffer), 4096), 8192);
       SAME(buffer[0], 'z');
     }},
    {"WritingSetsMtimeAndCtime",
     [](Env& e) {
       UniqueFd fd = OPEN("file", O_WRONLY);
       OK(::pwrite(fd.get(), "L", 1, 0));
       fd.reset();
       HOLDS(STAT("file").st_mtim.tv_sec > testing::TestImage::kMtime);
       HOLDS(STAT("file").st_ctim.tv_sec > testing::TestImage::kMtime);
     }},
    {"FsyncAndFdatasyncOfFilesAndDirectories",
     [](Env& e) {
       UniqueFd file = OPEN("file", O_RDWR);
       OK(::pwrite(file.get(), "L", 1, 0));
       OK(::fdatasync(file.get()));
       OK(::fsync(file.get()));
       UniqueFd lower = OPEN("big", O_RDONLY);
       OK(::fsync(lower.get()));
       UniqueFd directory = OPEN("dir", O_RDONLY | O_DIRECTORY);
       OK(::fsync(directory.get()));
       OK(::syncfs(directory.get()));
     }},
    {"StatfsTellsOfAWritableFileSystem",
     [](Env& e) {
       struct statvfs st = {};
       OK(::statvfs(e.p("."), &st));
       HOLDS(st.f_blocks > 0 && st.f_bavail > 0 && st.f_bsize > 0);
       SAME(st.f_namemax, 255u);
       SAME(st.f_flag & ST_RDONLY, 0u);
     }},
    {"ReadingADirectoryAsAFileFails",
     [](Env& e) {
       UniqueFd fd = OPEN("dir", O_RDONLY);
       char byte;
       FAILS(EISDIR, ::read(fd.get(), &byte, 1));
     }},
    {"ReadsPastTheEndAreEmpty",
     [](Env& e) {
       UniqueFd fd = OPEN("small", O_RDONLY);
       char byte;
       SAME(::pread(fd.get(), &byte, 1, 600), 0);
       SAME(::pread(fd.get(), &byte, 1, 599), 1);
     }},
};

}  // namespace

std::span<const Case> DataCases() { return kCases; }

}  // namespace strata::conformance
