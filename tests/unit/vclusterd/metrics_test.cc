// What vclusterd tells Prometheus of its master, its host and the nodes there.
#include "vclusterd/daemon/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "tests/unit/vclusterd/master/stepped_master.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string TextOf(const http::MetricFamilies& families) {
  return prometheus::TextSerializer().Serialize(families);
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

NodeFigures Node(const std::string& owner, const std::string& vcluster, const std::string& name) {
  NodeFigures node{owner, vcluster, name, {12.5, 100, 200, 300, 400}, {}};
  node.usage.set_memory_bytes(4096);
  node.usage.set_cpu_pressure(0.25);
  node.usage.set_memory_pressure(0.5);
  node.usage.set_io_pressure(0.75);
  return node;
}

TEST(MetricsTest, ANodeHasItsFiguresUnderItsOwnersItsVclustersAndItsName) {
  HostFigures figures;
  figures.nodes = {Node("alice", "spark", "worker-1"), Node("bob", "lab", "0")};
  const std::string text = TextOf(MetricsOf(figures));
  const std::string labels = "{owner=\"alice\",vcluster=\"spark\",node=\"worker-1\"} ";
  for (const char* line : {"cpu_seconds_total 12.5", "memory_bytes 4096",
                           "disk_read_bytes_total 100", "disk_written_bytes_total 200",
                           "network_received_bytes_total 300", "network_sent_bytes_total 400",
                           "cpu_pressure 0.25", "memory_pressure 0.5", "io_pressure 0.75"}) {
    const std::string wanted = line;
    const size_t space = wanted.find(' ');
    const std::string name = "strata_node_" + wanted.substr(0, space);
    EXPECT_THAT(text, HasSubstr("\n" + name + labels + wanted.substr(space + 1) + "\n"));
    EXPECT_THAT(text, HasSubstr("\n" + name + "{owner=\"bob\",vcluster=\"lab\",node=\"0\"} "));
    const bool is_total = name.ends_with("_total");
    EXPECT_THAT(text, HasSubstr("# TYPE " + name + (is_total ? " counter\n" : " gauge\n")));
  }
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes_unnamed 0\n"));
}

TEST(MetricsTest, NodesBeyondTheBoundAreCountedAndNotNamed) {
  HostFigures figures;
  for (size_t i = 0; i < kNamedNodesMax + 7; ++i) {
    figures.nodes.push_back(Node("alice", "big", std::to_string(i)));
  }
  const std::string text = TextOf(MetricsOf(figures));
  EXPECT_EQ(CountOf(text, "\nstrata_node_memory_bytes{"), kNamedNodesMax);
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes_unnamed 7\n"));
}

TEST(MetricsTest, AHostHasItsDisksItsNetworkAndItsPressure) {
  HostFigures figures;
  figures.totals = UsageTotals{99.5, 1, 2, 3, 4};
  host::v1::HostLoad& load = figures.load.emplace();
  load.set_disk_free_bytes(1000);
  load.mutable_usage()->set_cpus(1.5);
  load.mutable_usage()->set_memory_bytes(2000);
  load.mutable_usage()->set_cpu_pressure(0.25);
  load.mutable_usage()->set_memory_pressure(0.5);
  load.mutable_usage()->set_io_pressure(0.75);
  const std::string text = TextOf(MetricsOf(figures));
  for (const char* line :
       {"cpu_seconds_total 99.5", "disk_read_bytes_total 1", "disk_written_bytes_total 2",
        "network_received_bytes_total 3", "network_sent_bytes_total 4", "cpus_used 1.5",
        "memory_used_bytes 2000", "disk_free_bytes 1000", "cpu_pressure 0.25",
        "memory_pressure 0.5", "io_pressure 0.75"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\nstrata_host_") + line + "\n"));
  }
  EXPECT_THAT(text, Not(HasSubstr("\nstrata_node_"))) << "there are none";
}

TEST(MetricsTest, WhatWasNotMeasuredIsNotZero) {
  const std::string text = TextOf(MetricsOf(HostFigures()));
  EXPECT_THAT(text, Not(HasSubstr("strata_host_cpu")));
  EXPECT_THAT(text, Not(HasSubstr("strata_host_disk")));
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes{state=\"ready\"} 0\n"));
}

TEST(MetricsTest, NodesOfAHostAreCountedByState) {
  HostFigures figures;
  host::v1::PartStatus& part = figures.parts.emplace_back();
  for (const auto state : {host::v1::READY, host::v1::READY, host::v1::BREAKDOWN}) {
    host::v1::NodeStatus* node = part.add_nodes();
    node->set_state(state);
    node->set_restarts(2);
    node->mutable_usage()->set_cpus(0.5);
  }
  const std::string text = TextOf(MetricsOf(figures));
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes{state=\"ready\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes{state=\"breakdown\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_host_node_restarts 6\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_host_nodes_cpus 1.5\n"));
}

TEST(MetricsTest, AMasterCountsVclustersNodesAndHostsAndNamesNone) {
  const auto store = records::MakeMemoryRecordStore(DesiredTables());
  SteppedMaster master(*store);
  master.AddHost("h1");
  master.AddHost("h2");
  const auto made = master.clusters->Create(
      kAlice, PlainDefinition("secret", "tiny", 3, {}), "",
      [](const std::string&, uint32_t, uint32_t) {}, CancelToken());
  ASSERT_TRUE(made.ok()) << made.error().message();
  ASSERT_TRUE(master.master->Drain("h2", true).ok());
  const std::string text = TextOf(MetricsOf(*master.master));
  EXPECT_THAT(text, HasSubstr("\nstrata_vclusters 1\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_nodes{state=\"ready\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_hosts{condition=\"present\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\nstrata_hosts{condition=\"draining\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace strata::vcluster
