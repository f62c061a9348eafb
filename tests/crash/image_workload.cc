#include "tests/crash/image_workload.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "common/file_io.h"
#include "common/rpc/status.h"
#include "common/subprocess.h"
#include "imaged/api/imaged.grpc.pb.h"

namespace strata {
namespace {

using imaged::v1::ImageService;
namespace api = imaged::v1;

constexpr int kWorkers = 3;
constexpr int kArchives = 6;
constexpr int kNames = 4;  // Of each worker.
constexpr const char* kProbe = "root/probe:latest";
constexpr const char* kAnyDigest = "?";  // Of a save that was not made before.

std::string NameOf(int worker, int number) {
  return "root/w" + std::to_string(worker) + "-" + std::to_string(number) + ":latest";
}

// "digest visibility grants": what a tag says.
std::string TagValue(const std::string& digest, const std::string& rights) {
  return digest + " " + rights;
}
std::string DigestOf(const std::string& value) { return value.substr(0, value.find(' ')); }
std::string RightsOf(const ExpectedState::Value& value) {
  return value ? value->substr(value->find(' ') + 1) : "PRIVATE ";
}
std::string Describe(const api::Image& image) {
  std::string rights = api::Visibility_Name(image.visibility()) + " ";
  for (const api::Grant& grant : image.grants()) rights += grant.name() + ",";
  return TagValue(image.digest(), rights);
}

bool Matches(const ExpectedState::Value& expected, const ExpectedState::Value& found) {
  if (!expected || !found || DigestOf(*expected) != kAnyDigest) return expected == found;
  return RightsOf(expected) == RightsOf(found);
}

std::string Shown(const ExpectedState::Value& value) {
  return value ? "'" + *value + "'" : "nothing";
}

// A call that is one question and its answer.
template <typename Stub, typename Request, typename Response>
Result<Response> Ask(Stub& stub,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
  grpc::ClientContext context;
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

Result<api::Image> Import(ImageService::Stub& stub, const std::string& reference,
                          const std::string& tar) {
  grpc::ClientContext context;
  const auto stream = stub.Import(&context);
  api::ImportRequest request;
  request.mutable_options()->set_reference(reference);
  request.mutable_options()->set_replace(true);
  bool writing = stream->Write(request);
  constexpr size_t kPiece = 64 << 10;
  for (size_t at = 0; writing && at < tar.size(); at += kPiece) {
    request.set_tar(tar.substr(at, kPiece));
    writing = stream->Write(request);
  }
  request.set_end(true);
  if (writing && stream->Write(request)) stream->WritesDone();
  api::ImportEvent event;
  api::Image image;
  while (stream->Read(&event)) {
    if (event.has_result()) image = event.result().image();
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok()) return rpc::FromGrpc(status);
  return image;
}

Result<imaged::SavedImage> Save(imaged::HostImageClient& client, const std::string& lease,
                                const std::string& upper, const std::string& reference) {
  imaged::SaveParameters parameters;
  parameters.lease = lease;
  parameters.upper_dir = upper + "/upper";
  parameters.work_dir = upper + "/work";
  parameters.reference = reference;
  parameters.replace = true;
  parameters.scrub = imaged::ScrubMode::kNever;
  ASSIGN_OR_RETURN(const auto session, client.StartSave(parameters));
  RETURN_IF_ERROR(session->FirstRound());
  RETURN_IF_ERROR(session->SecondRound());
  return session->Finish();
}

}  // namespace

// One thread of the workload. Its keys are its own, so that it knows what the next operation makes.
class ImageWorkload::Worker {
 public:
  Worker(ImageWorkload& all, int number, std::unique_ptr<ImageService::Stub> images,
         std::unique_ptr<api::ClassService::Stub> classes,
         std::unique_ptr<imaged::HostImageClient> host, uint64_t seed)
      : all_(all),
        number_(number),
        images_(std::move(images)),
        classes_(std::move(classes)),
        host_(std::move(host)),
        random_(seed) {}

  void Run() {
    while (!all_.stop_) {
      const Status done = Step();
      const std::lock_guard lock(all_.mutex_);
      all_.changed_.notify_all();
      all_.done_ += done.ok();
      if (done.ok()) continue;
      // Otherwise it was killed.
      if (done.error().code() != Code::kUnavailable) {
        all_.failures_.push_back(done.error().message());
      }
      break;
    }
    const std::lock_guard lock(all_.mutex_);
    --all_.working_;
    all_.changed_.notify_all();
  }

 private:
  int Any(int count) { return static_cast<int>(random_() % static_cast<uint64_t>(count)); }
  std::string AnyName() { return NameOf(number_, Any(kNames)); }
  ExpectedState::Value Of(const std::string& name) {
    return all_.expected_.Acknowledged("tag " + name);
  }
  // Begins what makes `next` of the key, does it, and records what it says it made.
  Status Do(const std::string& key, ExpectedState::Value next,
            const std::function<Result<ExpectedState::Value>()>& work) {
    all_.expected_.Begin(key, next);
    ASSIGN_OR_RETURN(ExpectedState::Value made, work());
    if (!Matches(next, made)) {
      return Error(Code::kInternal, key + " became " + Shown(made) + ", not " + Shown(next));
    }
    all_.expected_.Acknowledge(key, std::move(made));
    return Ok();
  }
  template <typename Request, typename Response>
  Result<Response> AskImages(grpc::Status (ImageService::Stub::*method)(grpc::ClientContext*,
                                                                        const Request&, Response*),
                             const Request& request) {
    return Ask(*images_, method, request);
  }

  Status Step() {
    switch (Any(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return ImportOne(AnyName());
      case 4:
      case 5:
        return TagOne(AnyName(), AnyName());
      case 6:
      case 7:
        return ShareOne(AnyName());
      case 8:
      case 9:
        return DeleteOne(AnyName());
      case 10:
        return LeaseOne(AnyName());
      case 11:
        return SaveOne(AnyName());
      case 12:
        return ClassOrQuota();
      default:
        return Prune();
    }
  }

  Status Prune() {
    RETURN_IF_ERROR(AskImages(&ImageService::Stub::Prune, api::PruneRequest()));
    return Ok();
  }

  Status ImportOne(const std::string& name) {
    const auto archive = static_cast<size_t>(Any(kArchives));
    return Do("tag " + name, TagValue(all_.digests_[archive], RightsOf(Of(name))),
              [&]() -> Result<ExpectedState::Value> {
                ASSIGN_OR_RETURN(const api::Image image,
                                 Import(*images_, name, all_.archives_[archive]));
                return Describe(image);
              });
  }

  Status TagOne(const std::string& from, const std::string& to) {
    const auto image = Of(from);
    if (!image || from == to) return ImportOne(from);
    api::TagRequest request;
    request.set_reference(from);
    request.set_new_reference(to);
    request.set_replace(true);
    return Do("tag " + to, TagValue(DigestOf(*image), RightsOf(Of(to))),
              [&]() -> Result<ExpectedState::Value> {
                ASSIGN_OR_RETURN(const auto response, AskImages(&ImageService::Stub::Tag, request));
                return Describe(response.image());
              });
  }

  Status ShareOne(const std::string& name) {
    const auto image = Of(name);
    if (!image) return ImportOne(name);
    api::ShareRequest request;
    request.set_reference(name);
    std::string rights = "PUBLIC ";
    request.set_revoke_all(true);
    if (Any(2) == 0) {
      request.set_visibility(api::PUBLIC);
    } else {
      request.add_add()->set_kind(api::GRANT_USER);
      request.mutable_add(0)->set_name("daemon");
      rights = "PRIVATE daemon,";
    }
    return Do(
        "tag " + name, TagValue(DigestOf(*image), rights), [&]() -> Result<ExpectedState::Value> {
          ASSIGN_OR_RETURN(const auto response, AskImages(&ImageService::Stub::Share, request));
          return Describe(response.image());
        });
  }

  Status DeleteOne(const std::string& name) {
    if (!Of(name)) return ImportOne(name);
    api::DeleteRequest request;
    request.set_reference(name);
    request.set_force(true);
    return Do("tag " + name, std::nullopt, [&]() -> Result<ExpectedState::Value> {
      RETURN_IF_ERROR(AskImages(&ImageService::Stub::Delete, request));
      return ExpectedState::Value();
    });
  }

  std::string Lease() const { return "crash/" + std::to_string(number_); }

  Status LeaseOne(const std::string& name) {
    const std::string key = "lease " + Lease();
    if (all_.expected_.Acknowledged(key)) {
      return Do(key, std::nullopt, [&]() -> Result<ExpectedState::Value> {
        RETURN_IF_ERROR(host_->ReleaseRoot(Lease()));
        return ExpectedState::Value();
      });
    }
    const auto image = Of(name);
    if (!image) return ImportOne(name);
    return Do(key, "held", [&]() -> Result<ExpectedState::Value> {
      RETURN_IF_ERROR(host_->AcquireRoot(name, 0, {Lease()}));
      return "held";
    });
  }

  Status SaveOne(const std::string& name) {
    if (!all_.expected_.Acknowledged("lease " + Lease())) return LeaseOne(name);
    const std::string upper = all_.scratch_ + "/upper" + std::to_string(number_);
    return Do("tag " + name, TagValue(kAnyDigest, RightsOf(Of(name))),
              [&]() -> Result<ExpectedState::Value> {
                ASSIGN_OR_RETURN(const imaged::SavedImage saved,
                                 Save(*host_, Lease(), upper, name));
                return TagValue(saved.digest, RightsOf(Of(name)));
              });
  }

  Status ClassOrQuota() {
    if (number_ == 0) {
      api::SetQuotaRequest request;
      request.set_subject("user:root");
      request.set_limit_bytes((1ull << 40) + random_() % 1000);
      return Do("quota", std::to_string(request.limit_bytes()),
                [&]() -> Result<ExpectedState::Value> {
                  RETURN_IF_ERROR(AskImages(&ImageService::Stub::SetQuota, request));
                  return std::to_string(request.limit_bytes());
                });
    }
    const std::string name = "root/class" + std::to_string(number_);
    if (all_.expected_.Acknowledged("class " + name)) {
      api::DeleteClassRequest request;
      request.set_name(name);
      return Do("class " + name, std::nullopt, [&]() -> Result<ExpectedState::Value> {
        RETURN_IF_ERROR(Ask(*classes_, &api::ClassService::Stub::Delete, request));
        return ExpectedState::Value();
      });
    }
    api::ChangeClassRequest request;
    request.set_name(name);
    request.add_add("daemon");
    return Do("class " + name, "daemon,", [&]() -> Result<ExpectedState::Value> {
      RETURN_IF_ERROR(Ask(*classes_, &api::ClassService::Stub::Change, request));
      return "daemon,";
    });
  }

  ImageWorkload& all_;
  const int number_;
  const std::unique_ptr<ImageService::Stub> images_;
  const std::unique_ptr<api::ClassService::Stub> classes_;
  const std::unique_ptr<imaged::HostImageClient> host_;
  std::mt19937_64 random_;
};

ImageWorkload::ImageWorkload(std::string scratch, uint64_t seed)
    : scratch_(std::move(scratch)), random_(seed) {}

Status ImageWorkload::Calibrate(const std::shared_ptr<grpc::Channel>& channel) {
  // Files of several sizes; some are in several archives.
  for (int archive = 0; archive < kArchives; ++archive) {
    const std::string root = scratch_ + "/root" + std::to_string(archive);
    RETURN_IF_ERROR(MakeDirectories(root + "/dir"));
    for (int file = 0; file < 6; ++file) {
      const int content = file < 3 ? file : archive * 10 + file;
      RETURN_IF_ERROR(
          WriteFileAtomically(root + "/dir/f" + std::to_string(file),
                              std::string(static_cast<size_t>(700 + content * content * 40),
                                          static_cast<char>('a' + content % 26)) +
                                  std::to_string(content)));
    }
    const std::string tar = root + ".tar";
    RETURN_IF_ERROR(RunChecked({"tar", "-C", root, "--mtime=@1", "-cf", tar, "."}));
    ASSIGN_OR_RETURN(archives_.emplace_back(), ReadFile(tar));
  }
  for (int worker = 0; worker < kWorkers; ++worker) {
    const std::string upper = scratch_ + "/upper" + std::to_string(worker);
    RETURN_IF_ERROR(MakeDirectories(upper + "/upper/saved"));
    RETURN_IF_ERROR(MakeDirectories(upper + "/work"));
    RETURN_IF_ERROR(WriteFileAtomically(upper + "/upper/saved/file",
                                        std::string(30'000, static_cast<char>('0' + worker))));
  }
  const auto stub = ImageService::NewStub(channel);
  for (const std::string& archive : archives_) {
    ASSIGN_OR_RETURN(const api::Image image, Import(*stub, NameOf(0, 0), archive));
    digests_.push_back(image.digest());
  }
  api::DeleteRequest request;
  request.set_reference(NameOf(0, 0));
  RETURN_IF_ERROR(Ask(*stub, &ImageService::Stub::Delete, request));
  const std::string probe = scratch_ + "/probe.tar";
  RETURN_IF_ERROR(WriteFileAtomically(scratch_ + "/probe", "probe"));
  RETURN_IF_ERROR(RunChecked({"tar", "-C", scratch_, "-cf", probe, "probe"}));
  ASSIGN_OR_RETURN(const std::string tar, ReadFile(probe));
  ASSIGN_OR_RETURN(const api::Image image, Import(*stub, kProbe, tar));
  expected_.Acknowledge(std::string("tag ") + kProbe, Describe(image));
  return Ok();
}

Status ImageWorkload::Start(const std::shared_ptr<grpc::Channel>& channel,
                            const std::string& socket) {
  stop_ = false;
  for (int number = 0; number < kWorkers; ++number) {
    ASSIGN_OR_RETURN(auto host, imaged::HostImageClient::Connect(socket));
    auto worker =
        std::make_shared<Worker>(*this, number, ImageService::NewStub(channel),
                                 api::ClassService::NewStub(channel), std::move(host), random_());
    {
      const std::lock_guard lock(mutex_);
      ++working_;
    }
    threads_.emplace_back([worker] { worker->Run(); });
  }
  return Ok();
}

void ImageWorkload::WaitForDone(uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= count || working_ == 0; });
}

void ImageWorkload::Stop() {
  stop_ = true;
  threads_.clear();
}

std::vector<std::string> ImageWorkload::Failures() {
  const std::lock_guard lock(mutex_);
  return failures_;
}

Result<std::map<std::string, std::string>> ImageWorkload::ReadState(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& socket,
    const std::vector<std::string>& lease_keys) {
  std::map<std::string, std::string> state;
  const auto images = ImageService::NewStub(channel);
  api::ListRequest list;
  list.set_all_visible(true);
  list.set_page_size(1000);
  ASSIGN_OR_RETURN(const auto page, Ask(*images, &ImageService::Stub::List, list));
  for (const api::Image& image : page.images()) {
    state["tag " + image.owner() + "/" + image.name() + ":" + image.tag()] = Describe(image);
  }
  const auto classes = api::ClassService::NewStub(channel);
  ASSIGN_OR_RETURN(const auto known,
                   Ask(*classes, &api::ClassService::Stub::List, api::ListClassesRequest()));
  for (const api::Class& one : known.classes()) {
    std::string& members = state["class " + one.owner() + "/" + one.name()];
    for (const std::string& member : one.members()) members += member + ",";
  }
  ASSIGN_OR_RETURN(const auto usage,
                   Ask(*images, &ImageService::Stub::GetUsage, api::UsageRequest()));
  for (const api::Usage& one : usage.usages()) {
    if (one.limit_bytes() != 0) state["quota"] = std::to_string(one.limit_bytes());
  }
  // A lease that is there refuses another image.
  ASSIGN_OR_RETURN(const auto host, imaged::HostImageClient::Connect(socket));
  for (const std::string& key : lease_keys) {
    const std::string lease = key.substr(key.find(' ') + 1);
    const auto taken = host->AcquireRoot(kProbe, 0, {lease});
    if (taken.ok()) {
      RETURN_IF_ERROR(host->ReleaseRoot(lease));
    } else if (taken.error().code() == Code::kAlreadyExists) {
      state[key] = "held";
    } else {
      return taken.error();
    }
  }
  return state;
}

std::vector<std::string> ImageWorkload::Compare(const std::shared_ptr<grpc::Channel>& channel,
                                                const std::string& socket,
                                                const ExpectedState::Outcomes& right, bool settle) {
  std::vector<std::string> wrong;
  std::vector<std::string> leases;
  for (const auto& [key, values] : right) {
    if (key.starts_with("lease ")) leases.push_back(key);
  }
  auto state = ReadState(channel, socket, leases);
  if (!state.ok()) return {state.error().message()};
  for (const auto& [key, values] : right) {
    const auto it = state->find(key);
    const ExpectedState::Value found =
        it == state->end() ? ExpectedState::Value() : ExpectedState::Value(it->second);
    const bool good = std::any_of(values.begin(), values.end(),
                                  [&](const auto& value) { return Matches(value, found); });
    if (!good) {
      wrong.push_back(key + " is " + Shown(found) + ", acknowledged was " + Shown(values.front()));
    }
    if (settle) expected_.Settle(key, found);
  }
  for (const auto& [key, value] : *state) {
    if (!right.contains(key)) wrong.push_back(key + " is '" + value + "', nobody made it");
  }
  const auto stub = ImageService::NewStub(channel);
  grpc::ClientContext context;
  const auto fsck = stub->Fsck(&context, api::FsckRequest());
  api::FsckEvent event;
  while (fsck->Read(&event)) {
    if (event.has_problem()) wrong.push_back("fsck: " + event.problem());
  }
  const grpc::Status status = fsck->Finish();
  if (!status.ok()) wrong.push_back("fsck: " + status.error_message());
  return wrong;
}

std::vector<std::string> ImageWorkload::Clear(const std::shared_ptr<grpc::Channel>& channel,
                                              const std::string& socket) {
  std::vector<std::string> wrong;
  const auto stub = ImageService::NewStub(channel);
  const auto host = imaged::HostImageClient::Connect(socket);
  if (!host.ok()) return {host.error().message()};
  for (const auto& [key, value] : expected_.Take().acknowledged) {
    const std::string name = key.substr(key.find(' ') + 1);
    Status cleared = Ok();
    if (value && key.starts_with("tag ")) {
      api::DeleteRequest request;
      request.set_reference(name);
      request.set_force(true);
      const auto deleted = Ask(*stub, &ImageService::Stub::Delete, request);
      if (!deleted.ok()) cleared = deleted.error();
    } else if (key.starts_with("lease ")) {
      cleared = (*host)->ReleaseRoot(name);
    }
    if (!cleared.ok()) wrong.push_back(key + ": " + cleared.error().message());
  }
  api::PruneRequest prune;
  prune.set_all_owners(true);
  const auto pruned = Ask(*stub, &ImageService::Stub::Prune, prune);
  if (!pruned.ok()) wrong.push_back("prune: " + pruned.error().message());
  return wrong;
}

}  // namespace strata
