#include "vclusterd/rest/routes/vcluster_orders.h"

#include "vclusterd/rest/routes/orders.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

using Progress = OperationBook::ProgressFn;
using Do = OrderWork<Clusters>;

Result<OperationBook::Order> OrderTo(const Exchange& exchange, Operation right,
                                     const std::string& name, bool cancellable, Do work) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(Target target, clusters->MayDo(exchange.caller, right, name));
  return OrderWith(&Services::clusters, exchange, right, std::move(target), cancellable,
                   std::move(work));
}

// Of what is made, or changed, as the caller's own.
Result<OperationBook::Order> OwnOrder(const Exchange& exchange, Operation right,
                                      const std::string& name, Do work) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  Target target = clusters->TargetOf(exchange.caller.uid, name);
  RETURN_IF_ERROR(exchange.services.users.Authorize(exchange.caller, right, target));
  return OrderWith(&Services::clusters, exchange, right, std::move(target), /*cancellable=*/true,
                   std::move(work));
}

template <typename View>
Result<Json> Shown(const Result<View>& view) {
  if (!view.ok()) return view.error();
  return ToJson(*view, /*with_nodes=*/true);
}
Result<Json> Shown(const Result<Clusters::Applied>& applied) {
  if (!applied.ok()) return applied.error();
  return ToJson(*applied);
}

}  // namespace

Result<OperationBook::Order> CreateOrder(const Exchange& exchange, const Definition& definition,
                                         const std::string& driver) {
  return OwnOrder(exchange, Operation::kVclusterCreate, definition.name,
                  [definition, driver](Clusters& clusters, const Caller& caller,
                                       const Progress& progress, const CancelToken& cancel) {
                    return Shown(clusters.Create(caller, definition, driver, progress, cancel));
                  });
}

Result<OperationBook::Order> ApplyOrder(const Exchange& exchange, const Definition& definition,
                                        bool recreate) {
  return OwnOrder(exchange, Operation::kVclusterApply, definition.name,
                  [definition, recreate](Clusters& clusters, const Caller& caller,
                                         const Progress& progress, const CancelToken& cancel) {
                    return Shown(clusters.Apply(caller, definition, /*dry_run=*/false, recreate,
                                                progress, cancel));
                  });
}

Result<OperationBook::Order> StartOrder(const Exchange& exchange, const std::string& name) {
  return OrderTo(
      exchange, Operation::kVclusterStart, name, /*cancellable=*/false,
      [name](Clusters& clusters, const Caller& caller, const Progress&, const CancelToken& cancel) {
        return Shown(clusters.Start(caller, name, cancel));
      });
}

Result<OperationBook::Order> StopOrder(const Exchange& exchange, const std::string& name,
                                       std::chrono::milliseconds grace) {
  return OrderTo(exchange, Operation::kVclusterStop, name, /*cancellable=*/false,
                 [name, grace](Clusters& clusters, const Caller& caller, const Progress&,
                               const CancelToken& cancel) {
                   return Shown(clusters.Stop(caller, name, grace, cancel));
                 });
}

Result<OperationBook::Order> DeleteOrder(const Exchange& exchange, const std::string& name) {
  return OrderTo(exchange, Operation::kVclusterDelete, name, /*cancellable=*/false,
                 [name](Clusters& clusters, const Caller& caller, const Progress&,
                        const CancelToken& cancel) -> Result<Json> {
                   RETURN_IF_ERROR(clusters.Delete(caller, name, cancel));
                   return Json();
                 });
}

Result<OperationBook::Order> ScaleOrder(const Exchange& exchange, const std::string& name,
                                        const std::string& role, uint32_t count) {
  return OrderTo(exchange, Operation::kVclusterScale, name, /*cancellable=*/true,
                 [name, role, count](Clusters& clusters, const Caller& caller,
                                     const Progress& progress, const CancelToken& cancel) {
                   return Shown(clusters.Scale(caller, name, role, count, progress, cancel));
                 });
}

Result<OperationBook::Order> ResizeOrder(const Exchange& exchange, const std::string& name,
                                         uint64_t disk_bytes) {
  return OrderTo(exchange, Operation::kVclusterResize, name, /*cancellable=*/false,
                 [name, disk_bytes](Clusters& clusters, const Caller& caller, const Progress&,
                                    const CancelToken&) {
                   return Shown(clusters.Resize(caller, name, disk_bytes));
                 });
}

Result<OperationBook::Order> CloneOrder(const Exchange& exchange,
                                        const CloneParameters& parameters) {
  return OrderTo(exchange, Operation::kVclusterClone, parameters.source, /*cancellable=*/true,
                 [parameters](Clusters& clusters, const Caller& caller, const Progress& progress,
                              const CancelToken& cancel) -> Result<Json> {
                   ASSIGN_OR_RETURN(const std::vector<ClusterView> views,
                                    clusters.Clone(caller, parameters, progress, cancel));
                   return ToJson(views);
                 });
}

Result<OperationBook::Order> SaveOrder(const Exchange& exchange, const std::string& node,
                                       const SaveNodeParameters& parameters) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(Target target, clusters->MayDo(exchange.caller, Operation::kVclusterSave, node));
  const auto save = [&services = exchange.services, caller = exchange.caller, node, parameters](
                        const Progress& progress, const CancelToken& cancel) -> Result<Json> {
    // The save itself needs no master: one that steps down does not wait for it.
    const auto find = [&]() -> Result<NodePlace> {
      ASSIGN_OR_RETURN(const auto now, services.clusters());
      return now->FindNode(caller, Operation::kVclusterSave, node);
    };
    ASSIGN_OR_RETURN(const NodePlace place, find());
    SaveNodeParameters of_caller = parameters;
    of_caller.on_behalf_of_uid = caller.uid;
    of_caller.origin = "node " + place.name;
    ASSIGN_OR_RETURN(const SaveNodeResult saved,
                     place.link->Save(place.number, place.index, of_caller, progress, cancel));
    return ToJson(saved);
  };
  return OperationBook::Order{Operation::kVclusterSave, std::move(target), /*cancellable=*/true,
                              save};
}

}  // namespace strata::vcluster::rest
