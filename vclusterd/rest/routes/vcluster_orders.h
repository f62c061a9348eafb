// What operations do to Vclusters and nodes: the same for every route that begins it. Each of these
// finds what `name` means ("[OWNER/]NAME", or a node of it) and whether the caller may, before
// anything is begun; errors as of Clusters.
#pragma once

#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

Result<OperationBook::Order> CreateOrder(const Exchange& exchange, const Definition& definition,
                                         const std::string& driver);
// The caller's Vcluster of that name becomes so.
Result<OperationBook::Order> ApplyOrder(const Exchange& exchange, const Definition& definition,
                                        bool recreate);
Result<OperationBook::Order> StartOrder(const Exchange& exchange, const std::string& name);
Result<OperationBook::Order> StopOrder(const Exchange& exchange, const std::string& name,
                                       std::chrono::milliseconds grace);
Result<OperationBook::Order> DeleteOrder(const Exchange& exchange, const std::string& name);
Result<OperationBook::Order> ScaleOrder(const Exchange& exchange, const std::string& name,
                                        const std::string& role, uint32_t count);
Result<OperationBook::Order> ResizeOrder(const Exchange& exchange, const std::string& name,
                                         uint64_t disk_bytes);
Result<OperationBook::Order> CloneOrder(const Exchange& exchange,
                                        const CloneParameters& parameters);
// The node becomes an image of the caller's.
Result<OperationBook::Order> SaveOrder(const Exchange& exchange, const std::string& node,
                                       const SaveNodeParameters& parameters);

}  // namespace strata::vcluster::rest
