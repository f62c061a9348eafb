// Catalog: what images there are, who owns them, and what is in use. RocksDB column families
//   images   "<uid>/<name>:<tag>" -> Image (imaged/api/imaged.proto)
//   leases   lease name           -> Lease
// Every change is one WriteBatch with sync = true: when a call returns Ok, it survives a power cut.
// The last step of a commit (docs/formats.md): objects and manifests are durable before.
//
// Thread-safe. Changes to one name are serialised by the caller (Repository).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"

namespace strata::imaged {

// A container or an operation that uses an image: its layers must stay.
struct Lease {
  std::string image_key;     // Name at the time; for people.
  std::string image_record;  // The Image, serialised: the name may move or go while it is used.
};

class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> Open(const std::string& directory);
  virtual ~Catalog() = default;

  // The serialised Image under `key`; nullopt when there is none.
  virtual Result<std::optional<std::string>> GetImage(const std::string& key) = 0;
  virtual Status PutImage(const std::string& key, const std::string& record) = 0;
  virtual Status DeleteImage(const std::string& key) = 0;
  // In order of keys, from a consistent snapshot, until `visit` answers an error.
  using Visitor = std::function<Status(const std::string& key, const std::string& record)>;
  virtual Status ForEachImage(const Visitor& visit) = 0;

  virtual Result<std::optional<Lease>> GetLease(const std::string& name) = 0;
  virtual Status PutLease(const std::string& name, const Lease& lease) = 0;
  virtual Status DeleteLease(const std::string& name) = 0;  // Absent is Ok.
  using LeaseVisitor = std::function<Status(const std::string& name, const Lease& lease)>;
  virtual Status ForEachLease(const LeaseVisitor& visit) = 0;
};

}  // namespace strata::imaged
