#include "vclusterd/daemon/rental_site.h"

#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

class MasterSite final : public RentalSite {
 public:
  MasterSite(Master& master, const PlacerOptions& placer, records::RecordStore& store,
             imaged::ClusterClient& cluster)
      : master_(master), placer_(placer), store_(store), cluster_(cluster) {}

  std::map<std::string, Host> Hosts() override {
    std::map<std::string, Host> hosts;
    for (const Master::HostView& view : master_.Hosts()) {
      Host& host = hosts[view.name];
      host.present = view.present;
      host.draining = view.draining;
      host.looked = view.looked;
      host.nodes = std::max(view.nodes, view.left);
      host.stays = !view.staying.empty();
      host.cpus = view.capacity.cpus();
      host.memory_bytes = view.capacity.memory_bytes();
      host.disk_bytes = view.capacity.disk_bytes();
    }
    return hosts;
  }

  RentalQuestion WantedRoom() override {
    Master::Room room = master_.WantedRoom();
    RentalQuestion question{std::move(room.state), {}, {}, {}, 1, 1};
    for (auto& [demand, owner] : room.wanted) {
      question.wanted.push_back({std::move(demand), owner});
    }
    question.overcommit_cpus = placer_.overcommit_cpus;
    question.overcommit_memory = placer_.overcommit_memory;
    return question;
  }

  void Answer(const std::map<uint32_t, RoomAnswer>& answers) override {
    std::map<uint32_t, Master::RoomAnswer> out;
    for (const auto& [number, answer] : answers) out[number] = {answer.wait, answer.why};
    master_.AnswerRoom(out);
  }

  Status Drain(const std::string& host, bool drain) override {
    return master_.DrainComing(host, drain);
  }
  Status Forget(const std::string& host) override {
    RETURN_IF_ERROR(cluster_.RemoveHost(host));
    return master_.ForgetHost(host);
  }
  Result<std::string> JoinToken() override { return cluster_.MakeToken(); }

  Status Store(const std::string& tag, const std::optional<std::string>& record) override {
    return master_.StoreRecord(kMachinesTable, tag, record);
  }
  Result<std::map<std::string, std::string>> Stored() override {
    std::map<std::string, std::string> records;
    RETURN_IF_ERROR(store_.Scan(kMachinesTable, "",
                                [&](const std::string& key, const std::string& value) -> Status {
                                  records[key] = value;
                                  return Ok();
                                }));
    return records;
  }
  Status StillLeads() override { return master_.Beat(); }
  int64_t NowUnixMs() override { return master_.NowUnixMs(); }

  void ShowRents(const std::map<std::string, Rent>& rents) override {
    Master::Rents out;
    for (const auto& [host, rent] : rents) out[host] = {rent.provider, rent.price_per_hour};
    master_.ShowRents(std::move(out));
  }

 private:
  Master& master_;
  const PlacerOptions placer_;
  records::RecordStore& store_;
  imaged::ClusterClient& cluster_;
};

}  // namespace

std::unique_ptr<RentalSite> MakeRentalSite(Master& master, const PlacerOptions& placer,
                                           records::RecordStore& store,
                                           imaged::ClusterClient& cluster) {
  return std::make_unique<MasterSite>(master, placer, store, cluster);
}

}  // namespace strata::vcluster
