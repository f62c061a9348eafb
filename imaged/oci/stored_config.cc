#include "imaged/oci/stored_config.h"

#include <algorithm>
#include <ctime>

#include "common/printable.h"

namespace strata::imaged::oci {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

void Assign(const std::vector<std::string>& from, Texts* to) {
  to->Assign(from.begin(), from.end());
}

std::vector<std::string> Vector(const Texts& texts) { return {texts.begin(), texts.end()}; }

// RFC 3339, UTC, whole seconds unless there are milliseconds.
std::string TimeText(int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  char text[64];
  if (::gmtime_r(&seconds, &parts) == nullptr) return "";
  const size_t length = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string fraction;
  if (unix_ms % 1000 != 0) fraction = "." + std::to_string(1000 + unix_ms % 1000).substr(1);
  return std::string(text, length) + fraction + "Z";
}

bool IsVariable(const std::string& entry) {
  const size_t equals = entry.find('=');
  return equals != std::string::npos && equals != 0;
}

void StoreHistory(const ImageConfig& config, const std::vector<std::string>& layers,
                  v1::OciConfig* oci) {
  size_t next = 0;
  for (const HistoryEntry& entry : config.history) {
    v1::OciHistory* step = oci->add_history();
    step->set_created(entry.created);
    step->set_created_by(entry.created_by);
    step->set_author(entry.author);
    step->set_comment(entry.comment);
    if (!entry.empty_layer && next < layers.size()) step->set_layer(layers[next++]);
  }
}

// How many steps of the stored history are about the image's layers as they are, and how many
// layers those made.
struct KeptHistory {
  int steps = 0;
  int layers = 0;
};

KeptHistory HistoryThatHolds(const v1::Image& image) {
  KeptHistory kept;
  for (const v1::OciHistory& step : image.config().oci().history()) {
    if (!step.layer().empty()) {
      if (kept.layers == image.layers_size()) break;
      if (image.layers(kept.layers).digest() != step.layer()) break;
      ++kept.layers;
    }
    ++kept.steps;
  }
  return kept;
}

std::vector<HistoryEntry> HistoryOf(const v1::Image& image, const KeptHistory& kept) {
  std::vector<HistoryEntry> history;
  for (int i = 0; i < kept.steps; ++i) {
    const v1::OciHistory& step = image.config().oci().history(i);
    history.push_back(
        {step.created(), step.created_by(), step.author(), step.comment(), step.layer().empty()});
  }
  for (int i = kept.layers; i < image.layers_size(); ++i) {
    const v1::LayerHistory& layer = image.layers(i).history();
    HistoryEntry entry;
    entry.created = TimeText(layer.created_unix_ms());
    entry.created_by = layer.command().empty() ? layer.origin() : layer.command();
    entry.author = layer.creator();
    history.push_back(std::move(entry));
  }
  return history;
}

}  // namespace

v1::ImageConfig StoreConfig(const ImageConfig& config, const std::vector<std::string>& layers,
                            std::vector<std::string>* warnings) {
  v1::ImageConfig stored;
  for (const std::string& entry : config.env) {
    if (IsVariable(entry)) {
      stored.add_env(entry);
    } else {
      warnings->push_back("the environment's '" + Printable(entry, 100) + "' is left out");
    }
  }
  v1::OciConfig* oci = stored.mutable_oci();
  oci->set_os(config.platform.os);
  oci->set_architecture(config.platform.architecture);
  oci->set_variant(config.platform.variant);
  oci->set_created(config.created);
  oci->set_author(config.author);
  Assign(config.entrypoint, oci->mutable_entrypoint());
  Assign(config.cmd, oci->mutable_cmd());
  oci->set_user(config.user);
  oci->set_working_dir(config.working_dir);
  oci->set_stop_signal(config.stop_signal);
  oci->mutable_labels()->insert(config.labels.begin(), config.labels.end());
  Assign(config.exposed_ports, oci->mutable_exposed_ports());
  Assign(config.volumes, oci->mutable_volumes());
  StoreHistory(config, layers, oci);
  return stored;
}

ImageConfig ConfigOf(const v1::Image& image, std::vector<Sha256Digest> diff_ids) {
  const v1::ImageConfig& stored = image.config();
  const v1::OciConfig& oci = stored.oci();
  ImageConfig config;
  config.platform = HostPlatform();
  if (stored.has_oci()) config.platform = {oci.os(), oci.architecture(), oci.variant()};
  config.author = oci.author();
  config.env = Vector(stored.env());
  config.entrypoint = Vector(oci.entrypoint());
  config.cmd = Vector(oci.cmd());
  if (stored.command_size() > 0) {  // What somebody chose for it here.
    config.entrypoint.clear();
    config.cmd = Vector(stored.command());
  }
  config.user = oci.user();
  config.working_dir = oci.working_dir();
  config.stop_signal = oci.stop_signal();
  config.labels.insert(oci.labels().begin(), oci.labels().end());
  config.exposed_ports = Vector(oci.exposed_ports());
  config.volumes = Vector(oci.volumes());
  const KeptHistory kept = HistoryThatHolds(image);
  const bool as_it_came = stored.has_oci() && kept.layers == image.layers_size();
  config.created = as_it_came ? oci.created() : TimeText(image.created_unix_ms());
  config.history = HistoryOf(image, kept);
  config.diff_ids = std::move(diff_ids);
  return config;
}

void MergeEnvironment(const Texts& added, Texts* env) {
  for (const std::string& entry : added) {
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const auto kept = std::remove_if(
        env->begin(), env->end(), [&](const std::string& each) { return each.starts_with(name); });
    env->erase(kept, env->end());
    *env->Add() = entry;
  }
}

}  // namespace strata::imaged::oci
