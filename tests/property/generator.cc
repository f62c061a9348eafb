#include "tests/property/generator.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>

namespace strata::property {
namespace {

constexpr size_t kDepthMax = 5;

struct Weighted {
  Kind kind;
  unsigned weight;
};

constexpr Weighted kWeights[] = {
    {Kind::kCreate, 40},    {Kind::kOpen, 90},        {Kind::kClose, 25},
    {Kind::kReopen, 12},    {Kind::kWrite, 60},       {Kind::kMapWrite, 20},
    {Kind::kRead, 40},      {Kind::kReadFile, 25},    {Kind::kFtruncate, 12},
    {Kind::kTruncate, 20},  {Kind::kAllocate, 12},    {Kind::kSeek, 12},
    {Kind::kCopyRange, 15}, {Kind::kSync, 5},         {Kind::kFstat, 15},
    {Kind::kFchmod, 10},    {Kind::kFutimens, 8},     {Kind::kStat, 30},
    {Kind::kChmod, 30},     {Kind::kChown, 20},       {Kind::kUtimes, 20},
    {Kind::kSetXattr, 30},  {Kind::kRemoveXattr, 12}, {Kind::kSetAcl, 20},
    {Kind::kRemoveAcl, 8},  {Kind::kMkdir, 40},       {Kind::kRmdir, 30},
    {Kind::kUnlink, 50},    {Kind::kRename, 80},      {Kind::kRenameNoReplace, 15},
    {Kind::kExchange, 30},  {Kind::kLink, 35},        {Kind::kSymlink, 20},
    {Kind::kMknod, 12},     {Kind::kTmpfile, 8},      {Kind::kLinkFd, 8},
    {Kind::kReadlink, 8},   {Kind::kList, 25},        {Kind::kRemount, 2}};

bool MakesPath(Kind kind) {
  return kind == Kind::kCreate || kind == Kind::kMkdir || kind == Kind::kSymlink ||
         kind == Kind::kMknod || kind == Kind::kLinkFd;
}

constexpr unsigned TotalWeight() {
  unsigned total = 0;
  for (const Weighted& one : kWeights) total += one.weight;
  return total;
}

}  // namespace

std::string Generator::Name() {
  constexpr std::string_view kLetters = "abcdef";
  if (OneIn(60)) return std::string(255, 'n');
  return std::string(1, kLetters[Below(kLetters.size())]);
}

std::string Generator::AnyPath() {
  std::string path = Name();
  for (size_t depth = 1; depth < kDepthMax && Below(3) != 0; ++depth) {
    path += "/" + Name();
  }
  return prefix_ + path;
}

// Most exist, or, `for_new`, are free names in directories that exist.
std::string Generator::Path(const Model& model, bool for_new) {
  if (OneIn(12)) return AnyPath();
  std::optional<Id> id = kRootId;
  std::string path = prefix_;
  if (!prefix_.empty()) id = model.Find(prefix_.substr(0, prefix_.size() - 1));
  for (size_t depth = 0; depth < kDepthMax; ++depth) {
    const Inode* here = id ? &model.inode(*id) : nullptr;
    if (here == nullptr || !here->IsDirectory()) break;
    if (depth > 0) path += '/';
    if (here->entries.empty() || OneIn(for_new ? 3 : 30)) return path + Name();
    auto entry = here->entries.begin();
    std::advance(entry, static_cast<long>(Below(here->entries.size())));
    path += entry->first;
    id = entry->second;
    if (OneIn(for_new ? 8 : 4)) break;
  }
  return path;
}

uint64_t Generator::Size() {
  return OneIn(12) ? Below(150'000) : OneIn(4) ? Below(12'000) : Below(900);
}

uint64_t Generator::Offset() {
  return OneIn(12) ? Below(120'000) : OneIn(3) ? 4096 * Below(6) : Below(6'000);
}

Operation Generator::Next(const Model& model) {
  Operation op;
  uint64_t pick = Below(TotalWeight());
  for (const Weighted& one : kWeights) {
    op.kind = one.kind;
    if (pick < one.weight) break;
    pick -= one.weight;
  }
  op.slot = static_cast<int>(Below(kSlots));
  op.other_slot = static_cast<int>(Below(kSlots));
  op.at = Offset();
  op.size = Size();
  op.number = Below(1'000'000);
  op.path = Path(model, MakesPath(op.kind));
  const auto& handle = model.handle(op.slot);
  if (handle && !OneIn(4)) op.at = Below(model.inode(handle->inode).data.size() + 10);
  switch (op.kind) {
    case Kind::kOpen: {
      constexpr uint64_t kAccess[] = {O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
      op.at = kAccess[Below(std::size(kAccess))];
      if (op.at != O_RDONLY && OneIn(4)) op.at |= O_APPEND;
      if (op.at != O_RDONLY && OneIn(5)) op.at |= O_TRUNC;
      if (OneIn(5)) op.at |= O_CREAT;
      break;
    }
    case Kind::kReopen:
      op.at = Below(3);
      break;
    case Kind::kAllocate:
    case Kind::kCopyRange:
    case Kind::kMapWrite:
      ++op.size;
      if (op.kind == Kind::kCopyRange) op.number = Offset();
      break;
    case Kind::kCreate:
      op.at = Below(01000);
      break;
    case Kind::kChmod:
    case Kind::kFchmod:
      op.at = Below(02000);
      if (OneIn(5)) op.at |= 02000;
      break;
    case Kind::kChown:
      op.at = Below(50);
      op.size = Below(60);
      break;
    case Kind::kMkdir:
      op.at = Below(02000);
      break;
    case Kind::kSetXattr:
      op.size = Below(60);
      break;
    case Kind::kRename:
    case Kind::kRenameNoReplace:
    case Kind::kExchange:
    case Kind::kLink:
      op.other = Path(model, op.kind != Kind::kExchange);
      break;
    case Kind::kSymlink:
      op.other = Name();  // Relative, and never upwards: it stays in the tree.
      if (OneIn(2)) op.other += "/" + Name();
      break;
    case Kind::kTmpfile:
      if (OneIn(2)) op.path = prefix_.empty() ? "" : prefix_.substr(0, prefix_.size() - 1);
      break;
    default:
      break;
  }
  return op;
}

}  // namespace strata::property
