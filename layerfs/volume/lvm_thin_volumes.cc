#include "layerfs/volume/lvm_thin_volumes.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {
namespace {

// The name of the mapped device: the parts joined by '-', every '-' inside of them doubled.
std::string MappedName(const std::string& group, const std::string& lv) {
  std::string name;
  for (const std::string& part : {group, lv}) {
    if (!name.empty()) name += '-';
    for (const char c : part) name.append(c == '-' ? 2 : 1, c);
  }
  return name;
}

bool IsLvmName(std::string_view name) {
  const auto is_valid = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '+' || c == '-';
  };
  return !name.empty() && name.size() <= 60 && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_valid);
}

Result<uint64_t> ParseBytes(const std::string& text) {
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error == std::errc() && end == text.data() + text.size()) return bytes;
  return Error(Code::kInternal, "lvm reports a size that is no number: " + text);
}

}  // namespace

Result<std::string> LvmThinVolumes::Lvm(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), "lvm");
  if (options_.run_command) return options_.run_command(arguments);
  return RunChecked(arguments);
}

std::string LvmThinVolumes::LvOf(const std::string& name) const {
  return options_.lvm_prefix + (IsLeftover(name) ? "" : "-") + name;
}

std::string LvmThinVolumes::DevicePath(const std::string& name) const {
  return "/dev/mapper/" + MappedName(group_, LvOf(name));
}

Result<std::unique_ptr<VolumeStore>> LvmThinVolumes::Open(VolumeOptions options) {
  const size_t slash = options.lvm_pool.find('/');
  const std::string group = options.lvm_pool.substr(0, slash);
  const std::string pool = slash == std::string::npos ? "" : options.lvm_pool.substr(slash + 1);
  if (!IsLvmName(group) || !IsLvmName(pool) || !IsLvmName(options.lvm_prefix)) {
    return Error(Code::kInvalidArgument,
                 "'" + options.lvm_pool + "' is no thin pool: say GROUP/POOL");
  }
  std::unique_ptr<LvmThinVolumes> store(new LvmThinVolumes(std::move(options), group, pool));
  ASSIGN_OR_RETURN(const auto report, store->Report(), "lvm-thin");
  if (!report.contains("")) {
    return Error(Code::kFailedPrecondition,
                 group + " has no thin pool called " + pool + " (lvcreate --type thin-pool)");
  }
  RETURN_IF_ERROR(store->PrepareMountDir());
  return std::unique_ptr<VolumeStore>(std::move(store));
}

Result<std::map<std::string, uint64_t>> LvmThinVolumes::Report() const {
  ASSIGN_OR_RETURN(const std::string text,
                   Lvm({"lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o",
                        "lv_name,lv_size,segtype,pool_lv", group_}));
  std::map<std::string, uint64_t> sizes;
  // The library throws on a missing key or a wrong type.
  try {
    const auto json = nlohmann::json::parse(text);
    for (const auto& report : json.at("report")) {
      for (const auto& lv : report.at("lv")) {
        const auto name = lv.at("lv_name").get<std::string>();
        ASSIGN_OR_RETURN(const uint64_t size, ParseBytes(lv.at("lv_size").get<std::string>()));
        if (name == pool_ && lv.at("segtype").get<std::string>() == "thin-pool") sizes[""] = size;
        if (lv.at("pool_lv").get<std::string>() != pool_) continue;
        if (!name.starts_with(options_.lvm_prefix)) continue;
        const std::string rest = name.substr(options_.lvm_prefix.size());
        if (IsLeftover(rest)) sizes[rest] = size;
        if (rest.starts_with('-') && CheckVolumeName(rest.substr(1)).ok()) {
          sizes[rest.substr(1)] = size;
        }
      }
    }
  } catch (const nlohmann::json::exception& error) {
    return Error(Code::kInternal, std::string("lvm's report: ") + error.what());
  }
  return sizes;
}

Status LvmThinVolumes::Create(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  ASSIGN_OR_RETURN(const auto report, Report());
  if (report.contains(name)) return VolumeExists(name);
  const std::string half_made = HalfMade(name);
  if (report.contains(half_made)) RETURN_IF_ERROR(DeleteDevice(half_made));
  const auto make = [&]() -> Status {
    RETURN_IF_ERROR(Lvm({"lvcreate", "--yes", "--type", "thin", "--virtualsize",
                         std::to_string(Ext4BytesFor(limit_bytes)) + "b", "--thinpool", pool_,
                         "--name", LvOf(half_made), "--wipesignatures", "n", group_}));
    Device device;
    device.path = device.backing = DevicePath(half_made);
    RETURN_IF_ERROR(MakeExt4(device.path));
    RETURN_IF_ERROR(RecordLimit(device, name, limit_bytes));
    RETURN_IF_ERROR(Lvm({"lvchange", "--activate", "n", FullName(half_made)}));
    RETURN_IF_ERROR(Lvm({"lvrename", group_, LvOf(half_made), LvOf(name)}));
    return Ok();
  };
  Status made = make();
  if (made.ok()) return made;
  if (Status undone = DeleteDevice(half_made); !undone.ok()) {
    LOG_WARNING("a half-made volume stays until the next start: " + undone.error().message());
  }
  return made.error().Wrap("volume " + name);
}

Result<Ext4Volumes::Device> LvmThinVolumes::OpenDevice(const std::string& name) {
  ASSIGN_OR_RETURN(const auto report, Report());
  if (!report.contains(name)) return NoSuchVolume(name, "logical volume " + FullName(name));
  RETURN_IF_ERROR(Lvm({"lvchange", "--activate", "y", "--ignoreactivationskip", FullName(name)}),
                  "volume " + name);
  Device device;
  device.path = device.backing = DevicePath(name);
  return device;
}

Status LvmThinVolumes::CloseDevice(const std::string& name) {
  ASSIGN_OR_RETURN(const auto report, Report());
  if (!report.contains(name)) return Ok();
  RETURN_IF_ERROR(Lvm({"lvchange", "--activate", "n", FullName(name)}), "volume " + name);
  return Ok();
}

Status LvmThinVolumes::CheckMounted(const std::string& name, dev_t device) {
  const auto mapped = ReadFile("/sys/dev/block/" + std::to_string(major(device)) + ":" +
                                   std::to_string(minor(device)) + "/dm/name",
                               4096);
  if (mapped.ok() && *mapped == MappedName(group_, LvOf(name)) + "\n") return Ok();
  return Error(Code::kFailedPrecondition,
               MountPointOf(name) + " is in use: something else is mounted there", EBUSY);
}

Status LvmThinVolumes::GrowDevice(const std::string& name, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(auto report, Report());
  if (report[name] >= size_bytes) return Ok();
  RETURN_IF_ERROR(Lvm({"lvextend", "--size", std::to_string(size_bytes) + "b", FullName(name)}),
                  "volume " + name);
  return Ok();
}

Status LvmThinVolumes::MakeSnapshot(const std::string& name, const std::string& snapshot) {
  // LVM freezes the file system for the moment (device-mapper suspends with a flush).
  RETURN_IF_ERROR(Lvm({"lvcreate", "--yes", "--snapshot", "--setactivationskip", "n", "--name",
                       LvOf(snapshot), FullName(name)}),
                  "volume " + name);
  return Ok();
}

Status LvmThinVolumes::DeleteDevice(const std::string& name) {
  ASSIGN_OR_RETURN(const auto report, Report());
  if (!report.contains(name)) return Ok();
  RETURN_IF_ERROR(Lvm({"lvremove", "--yes", "--force", FullName(name)}));
  return Ok();
}

Status LvmThinVolumes::Remove(const std::string& name) {
  RETURN_IF_ERROR(Deactivate(name));
  return DeleteDevice(name);
}

Result<std::vector<std::string>> LvmThinVolumes::List() {
  ASSIGN_OR_RETURN(std::vector<std::string> devices, ListDevices());
  std::erase_if(devices, [](const std::string& name) { return IsLeftover(name); });
  return devices;
}

Result<std::vector<std::string>> LvmThinVolumes::ListDevices() {
  ASSIGN_OR_RETURN(const auto report, Report());
  std::vector<std::string> names;
  for (const auto& [name, size] : report) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

}  // namespace strata::layerfs
