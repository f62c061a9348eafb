#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>

#include "tests/conformance/cases.h"

namespace strata::conformance {
namespace {

using Names = std::vector<std::string>;

struct Closer {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using Stream = std::unique_ptr<DIR, Closer>;

Stream Open(Env& e, const char* path) {
  Stream stream(::opendir(path));
  e.True(stream != nullptr, path, __LINE__);
  return stream;
}

std::multiset<std::string> Rest(DIR* stream) {
  std::multiset<std::string> names;
  while (stream != nullptr) {
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr) break;
    names.insert(entry->d_name);
  }
  return names;
}

const Case kCases[] = {
    {"AListingHoldsEveryLowerNameOnce",
     [](Env& e) {
       const auto names = Rest(Open(e, e.p("many")).get());
       SAME(names.size(), 122u);
       SAME(names.count("."), 1u);
       SAME(names.count(".."), 1u);
       SAME(names.count("119"), 1u);
     }},
    {"AListingMergesNewAndLowerNames",
     [](Env& e) {
       WRITE("dir/new", "");
       WRITE("dir/a", "changed");
       OK(::unlink(e.p("dir/b")));
       SAME(LIST("dir"), (Names{"a", "new", "sub"}));
     }},
    {"ListedInodeNumbersAreThoseOfStat",
     [](Env& e) {
       WRITE("dir/new", "");
       WRITE("dir/a", "changed");
       const Stream stream = Open(e, e.p("dir"));
       while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
         const std::string name = entry->d_name;
         if (name == "." || name == "..") continue;
         SAME(entry->d_ino, STAT("dir/" + name).st_ino);
       }
     }},
    {"ListedTypesAreRight",
     [](Env& e) {
       std::map<std::string, int> types;
       const Stream stream = Open(e, e.p("."));
       while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
         types[entry->d_name] = entry->d_type;
       }
       const auto is = [&](const char* name, int type) {
         return types[name] == type || types[name] == DT_UNKNOWN;
       };
       HOLDS(is("file", DT_REG) && is("dir", DT_DIR) && is("to_file", DT_LNK));
       HOLDS(is("fifo", DT_FIFO) && is("sock", DT_SOCK) && is("null", DT_CHR));
       HOLDS(is("blk", DT_BLK));
     }},
    {"TelldirAndSeekdirReturnToTheSameEntry",
     [](Env& e) {
       const Stream stream = Open(e, e.p("many"));
       if (!stream) return;
       for (int i = 0; i < 60; ++i) ::readdir(stream.get());
       const long place = ::telldir(stream.get());
       const dirent* entry = ::readdir(stream.get());
       const std::string next = entry == nullptr ? "" : entry->d_name;
       Rest(stream.get());
       ::seekdir(stream.get(), place);
       entry = ::readdir(stream.get());
       SAME(std::string(entry == nullptr ? "" : entry->d_name), next);
     }},
    {"RewinddirShowsWhatChanged",
     [](Env& e) {
       const Stream stream = Open(e, e.p("dir"));
       if (!stream) return;
       Rest(stream.get());
       WRITE("dir/new", "");
       OK(::unlink(e.p("dir/a")));
       ::rewinddir(stream.get());
       const auto names = Rest(stream.get());
       SAME(names.count("new"), 1u);
       SAME(names.count("a"), 0u);
     }},
    {"DeletingWhatIsListedLosesNothing",
     [](Env& e) {
       const Stream stream = Open(e, e.p("many"));
       size_t deleted = 0;
       while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
         const std::string name = entry->d_name;
         if (name == "." || name == "..") continue;
         OK(::unlink(e.p("many/" + name)));
         ++deleted;
       }
       SAME(deleted, static_cast<size_t>(kMany));
       SAME(LIST("many").size(), 0u);
     }},
    {"CreatingWhileListingRepeatsNothing",
     [](Env& e) {
       const Stream stream = Open(e, e.p("many"));
       std::multiset<std::string> seen;
       int made = 0;
       while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
         seen.insert(entry->d_name);
         if (made < 50) WRITE("many/new" + std::to_string(made++), "");
       }
       for (const std::string& name : seen) SAME(seen.count(name), 1u);
       SAME(LIST("many").size(), 170u);
     }},
    {"AListingOfALargeNewDirectory",
     [](Env& e) {
       OK(::mkdir(e.p("large"), 0755));
       for (int i = 0; i < 1000; ++i) OK(::mkdir(e.p("large/" + std::to_string(i)), 0755));
       SAME(LIST("large").size(), 1000u);
     }},
    {"DotDotLeadsUp",
     [](Env& e) {
       SAME(STAT("dir/sub/..").st_ino, STAT("dir").st_ino);
       OK(::rename(e.p("dir/sub"), e.p("deep/sub")));
       SAME(STAT("deep/sub/..").st_ino, STAT("deep").st_ino);
     }},
    {"AnUnreadableDirectoryIsNotListed",
     [](Env& e) {
       OK(::chmod(e.p("dir"), 0711));
       const char* directory = e.p("dir");
       const char* inside = e.p("dir/a");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(directory, O_RDONLY)); }), EACCES);
       SAME(e.As(1000, [&] { return ErrnoOf(::open(inside, O_RDONLY)); }), 0);
     }},
    {"AnUnsearchableDirectoryHidesItsFiles",
     [](Env& e) {
       OK(::chmod(e.p("dir"), 0744));
       const char* inside = e.p("dir/a");
       SAME(e.As(1000, [&] { return ErrnoOf(::open(inside, O_RDONLY)); }), EACCES);
     }},
    {"MakingANameSetsTheDirectorysTimes",
     [](Env& e) {
       WRITE("dir/new", "");
       HOLDS(STAT("dir").st_mtim.tv_sec > testing::TestImage::kMtime);
     }},
    {"ChangingAFileLeavesItsDirectorysMtime",
     [](Env& e) {
       WRITE("dir/a", "changed");
       OK(::chmod(e.p("dir/sub/x"), 0600));
       SAME(STAT("dir").st_mtim.tv_sec, testing::TestImage::kMtime);
       SAME(STAT("dir/sub").st_mtim.tv_sec, testing::TestImage::kMtime);
     }},
};

}  // namespace

std::span<const Case> DirectoryCases() { return kCases; }

}  // namespace strata::conformance
