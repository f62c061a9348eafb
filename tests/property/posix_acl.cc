#include "tests/property/posix_acl.h"

namespace strata::property {
namespace {

enum Tag : uint16_t {
  kOwner = 1,
  kUser = 2,
  kGroupOwner = 4,
  kGroup = 8,
  kMask = 16,
  kOthers = 32
};

AclEntry* Find(Acl* acl, uint16_t tag) {
  for (AclEntry& entry : *acl) {
    if (entry.tag == tag) return &entry;
  }
  return nullptr;
}

// The entry that the group bits of a mode stand for.
AclEntry* GroupBits(Acl* acl) {
  AclEntry* mask = Find(acl, kMask);
  return mask != nullptr ? mask : Find(acl, kGroupOwner);
}

}  // namespace

std::string AclValue(const Acl& acl) {
  const uint32_t version = 2;
  std::string value(reinterpret_cast<const char*>(&version), sizeof(version));
  for (const AclEntry& entry : acl) {
    value.append(reinterpret_cast<const char*>(&entry.tag), sizeof(entry.tag));
    value.append(reinterpret_cast<const char*>(&entry.permissions), sizeof(entry.permissions));
    value.append(reinterpret_cast<const char*>(&entry.id), sizeof(entry.id));
  }
  return value;
}

Acl AclOf(uint64_t number) {
  const auto bits = [&](int shift) { return static_cast<uint16_t>((number >> shift) & 7); };
  Acl acl = {{kOwner, bits(0)}};
  const bool more = number % 5 != 0;
  if (more) acl.push_back({kUser, bits(3), static_cast<uint32_t>(1000 + number % 3)});
  acl.push_back({kGroupOwner, bits(6)});
  if (number % 7 == 1) acl.push_back({kGroup, bits(9), 2000});
  if (more || number % 7 == 1) acl.push_back({kMask, bits(12)});
  acl.push_back({kOthers, bits(15)});
  return acl;
}

mode_t ModeOf(const Acl& acl) {
  Acl copy = acl;
  return static_cast<mode_t>(Find(&copy, kOwner)->permissions << 6 |
                             GroupBits(&copy)->permissions << 3 |
                             Find(&copy, kOthers)->permissions);
}

bool IsMode(const Acl& acl) { return acl.size() == 3; }

void ApplyMode(mode_t mode, Acl* acl) {
  Find(acl, kOwner)->permissions = static_cast<uint16_t>((mode >> 6) & 7);
  GroupBits(acl)->permissions = static_cast<uint16_t>((mode >> 3) & 7);
  Find(acl, kOthers)->permissions = static_cast<uint16_t>(mode & 7);
}

std::optional<Acl> Inherit(const Acl& directory_default, mode_t* mode) {
  Acl acl = directory_default;
  const auto restrict_to = [&](AclEntry* entry, int shift) {
    entry->permissions &= static_cast<uint16_t>(*mode >> shift & 7);
    *mode &= ~(07u << shift) | static_cast<mode_t>(entry->permissions << shift);
  };
  restrict_to(Find(&acl, kOwner), 6);
  restrict_to(GroupBits(&acl), 3);
  restrict_to(Find(&acl, kOthers), 0);
  if (IsMode(acl)) return std::nullopt;
  return acl;
}

}  // namespace strata::property
