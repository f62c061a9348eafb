// Limits: of users, of each member of a group, of all its members together, and the default.
#include "vclusterd/rest/routes/group_of_address.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

struct ResourceKey {
  Resource resource;
  const char* key;
  const char* description;
};
constexpr ResourceKey kKeys[] = {
    {Resource::kNodes, "nodes", "Nodes."},
    {Resource::kCpus, "cpus_milli", "Thousandths of a core."},
    {Resource::kMemory, "memory_bytes", "Memory."},
    {Resource::kDisk, "disk_bytes", "Disk."},
    {Resource::kPorts, "ports", "Ports of hosts."},
    {Resource::kBandwidth, "bandwidth_bits_per_s", "Bits per second."},
    {Resource::kHostBandwidth, "host_bandwidth_bits_per_s",
     "Bits per second and direction of all nodes of a user on one host."},
};

Json ToJson(const StoredLimits& stored) {
  Json limits = Json::object();
  for (const ResourceKey& key : kKeys) {
    if (const auto limit = stored.limits[key.resource]) limits[key.key] = *limit;
  }
  return {{"limits", std::move(limits)}, {"revision", stored.revision}};
}

// Whose limits the address means, and to whom rights are asked for.
struct Holder {
  LimitHolder holder;
  Target target;
};
using FindHolder = Result<Holder> (*)(const Exchange&, Operation);

Result<Holder> Default(const Exchange&, Operation) {
  return Holder{{LimitHolder::Kind::kDefault, 0}, {std::nullopt, "the default", ""}};
}

Result<Holder> OfUser(const Exchange& exchange, Operation right) {
  ASSIGN_OR_RETURN(const uint32_t uid, NamedUser(exchange, right));
  return Holder{{LimitHolder::Kind::kUser, uid}, UserTarget(exchange, uid)};
}

Result<Holder> OfGroup(const Exchange& exchange, LimitHolder::Kind kind) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  const bool concerns =
      exchange.services.users.groups().Concerns(group->number(), exchange.caller.uid);
  return Holder{
      {kind, group->number()},
      {concerns ? exchange.caller.uid : group->owner_uids(0), "group " + group->name(), ""}};
}
Result<Holder> OfEach(const Exchange& exchange, Operation) {
  return OfGroup(exchange, LimitHolder::Kind::kGroupEach);
}
Result<Holder> OfAll(const Exchange& exchange, Operation) {
  return OfGroup(exchange, LimitHolder::Kind::kGroupAll);
}

Result<Reply> Get(Exchange& exchange, FindHolder find) {
  ASSIGN_OR_RETURN(const Holder holder, find(exchange, Operation::kQuotaList));
  Users& users = exchange.services.users;
  RETURN_IF_ERROR(users.Authorize(exchange.caller, Operation::kQuotaList, holder.target));
  Json json = ToJson(users.quotas().Get(holder.holder));
  if (holder.holder.kind == LimitHolder::Kind::kUser) {
    const Bounds bounds =
        users.quotas().BoundsOf(holder.holder.number, holder.target.name, QuotaUsage());
    Json& effective = json["effective"] = Json::object();
    for (const ResourceKey& key : kKeys) {
      const Effective one = EffectiveLimit(bounds, key.resource);
      if (one.limit) effective[key.key] = {{"limit", *one.limit}, {"whose", one.whose}};
    }
  }
  return Answer(std::move(json));
}

Result<Reply> Set(Exchange& exchange, FindHolder find) {
  ASSIGN_OR_RETURN(const Holder holder, find(exchange, Operation::kQuotaSet));
  LimitSet limits;
  const Json& given = exchange.body.at("limits");
  for (const ResourceKey& key : kKeys) {
    if (given.contains(key.key)) limits[key.resource] = given[key.key].get<uint64_t>();
  }
  Users& users = exchange.services.users;
  RETURN_IF_ERROR(users.SetLimits(exchange.caller, holder.holder, limits,
                                  exchange.Given<uint64_t>("revision")));
  return Answer(ToJson(users.quotas().Get(holder.holder)));
}

}  // namespace

void AddQuotaRoutes(RouteTable* table) {
  Members limits("A resource that is absent has no limit here.");
  Members effective("By resource, the limit that leaves least.");
  for (const ResourceKey& key : kKeys) {
    limits.May(key.key, Whole(key.description));
    effective.May(key.key, Members("A limit, and whose it is.")
                               .Must("limit", Whole(key.description))
                               .Must("whose", Text("alice, each member of os, …")));
  }
  table->AddSchema("Limits", Members("Limits.")
                                 .Must("limits", limits)
                                 .Must("revision", Whole("Moved on by every change; 0: none."))
                                 .May("effective", effective));
  table->AddSchema("NewLimits", Members("They take the place of those that there are.")
                                    .Must("limits", limits)
                                    .May("revision", RevisionSchema()));
  struct Kind {
    const char* path;
    const char* id;
    const char* whose;
    FindHolder find;
  };
  const Kind kinds[] = {
      {"/default", "Default", "of who has none", Default},
      {"/users/{user}", "OfUser", "of a user, and all that count for him", OfUser},
      {"/groups/{group}/each", "OfEachMember", "of each member of a group", OfEach},
      {"/groups/{group}/all", "OfAllMembers", "of all members of a group together", OfAll},
  };
  for (const Kind& kind : kinds) {
    Route get{"GET", std::string("/v1/quotas") + kind.path, std::string("getLimits") + kind.id,
              "quotas", std::string("The limits ") + kind.whose};
    get.operation = Operation::kQuotaList;
    get.answers = {{200, "Limits"}};
    get.handle = [find = kind.find](Exchange& exchange) { return Get(exchange, find); };
    table->Add(std::move(get));
    Route set{"PUT", std::string("/v1/quotas") + kind.path, std::string("setLimits") + kind.id,
              "quotas", std::string("Sets the limits ") + kind.whose};
    set.operation = Operation::kQuotaSet;
    set.body = BodyKind::kJson;
    set.request = "NewLimits";
    set.answers = {{200, "Limits"}};
    set.handle = [find = kind.find](Exchange& exchange) { return Set(exchange, find); };
    table->Add(std::move(set));
  }
}

}  // namespace strata::vcluster::rest
