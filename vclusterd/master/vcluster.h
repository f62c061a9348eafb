// A Vcluster as the master holds it: its record, and the definition that the record carries, read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "net/ipv4.h"
#include "vclusterd/api/records.pb.h"
#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

struct Vcluster {
  master::v1::Vcluster record;
  Definition definition;  // As record.definition says; the name is the record's.
  net::Ipv4Prefix prefix;

  // nullptr for a node that is leaving because its role is gone.
  const Role* RoleOf(const master::v1::Node& node) const {
    return definition.FindRole(node.role());
  }
  const master::v1::Node* FindNode(uint32_t index) const;
  // "0" of the role `node`, otherwise "worker-1".
  std::string NodeName(const master::v1::Node& node) const;
  std::string Hostname(const master::v1::Node& node) const;
  net::Ipv4 AddressOf(const master::v1::Node& node) const;
};

// Never changed once it is there: a change makes another one.
using VclusterPtr = std::shared_ptr<const Vcluster>;

std::string VclusterKey(uint32_t number);
// Of a class, which records of its Vclusters name: "UID/NAME", the uid with ten digits.
std::string ClassKey(uint32_t uid, const std::string& name);
// REQUIRES: `key` is of VclusterKey.
uint32_t NumberOf(const std::string& key);
std::string FormatVcluster(const master::v1::Vcluster& record);
// kCorrupt for what FormatVcluster did not write.
Result<VclusterPtr> ParseVcluster(std::string_view bytes);
// Of a record that was just made or changed.
Result<VclusterPtr> ReadVcluster(master::v1::Vcluster record);

// The record's volumes as the definition has them: new ones get numbers, others are left.
void NameVolumes(const Definition& definition, master::v1::Vcluster* record);
// Every role of the definition, and of a node that leaves, has a number of its own.
void NumberRoles(const Definition& definition, master::v1::Vcluster* record);
// Where a volume that the definition names is, below the shared directory; empty: the owner's own.
std::string DirectoryOf(const master::v1::Vcluster& record, const std::string& volume);
std::string DirectoryOf(const master::v1::Vcluster& record, const master::v1::Volume& volume);
bool MountsVolumes(const Definition& definition);
// kFailedPrecondition while it is made or deleted.
Status CheckLive(const master::v1::Vcluster& record);
// kResourceExhausted: it is more than a class lets its students have.
Status CheckClassQuota(const master::v1::ClassQuota& quota, const Definition& definition);

// A record without nodes' places for this definition: number, names, keys of its own.
Result<master::v1::Vcluster> NewVcluster(const Definition& definition, uint32_t owner_uid,
                                         int64_t now_unix_ms);
// For ssh between its nodes.
Status GiveKeys(master::v1::Vcluster* record);
// What no two Vclusters share, not even clones: keys, machine-ids, time.
Status GiveIdentity(master::v1::Vcluster* record, int64_t now_unix_ms);
// Nodes of a role up to `count`, with the lowest indices and ordinals that are free.
// kResourceExhausted: there would be more than `nodes_max` altogether.
Status AddNodes(master::v1::Vcluster* record, const std::string& role, uint32_t count,
                uint32_t nodes_max);
// How long the prefix of its subnet is.
int PrefixLengthOf(const Definition& definition);

}  // namespace strata::vcluster
