#include "imaged/service/event_service.h"

#include "imaged/api/events.grpc.pb.h"
#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

constexpr size_t kLastDefault = 1000;
constexpr size_t kLastMax = 100'000;
constexpr std::chrono::milliseconds kLookEvery{200};

// "alice/x" is every tag and version of it.
bool IsOf(const std::string& image, const std::string& asked) {
  if (!image.starts_with(asked)) return false;
  return image.size() == asked.size() || image[asked.size()] == ':' || image[asked.size()] == '@';
}

class EventServiceImpl final : public v1::EventService::Service {
 public:
  EventServiceImpl(Repository* repository, uid_t uid) : repository_(repository), uid_(uid) {}

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                     grpc::ServerWriter<v1::Event>* writer) override {
    return Guarded("events", [&]() -> Status {
      const EventLog& log = repository_->events();
      const CallCancellation cancellation(context);
      const auto wanted = [&](const v1::Event& event) {
        if (uid_ != 0 && event.uid() != uid_ && event.owner_uid() != uid_) return false;
        if (!request->action().empty() && event.action() != request->action()) return false;
        return request->image().empty() || IsOf(event.image(), request->image());
      };
      const size_t last = std::min<size_t>(request->last(), kLastMax);
      size_t max = last == 0 ? kLastDefault : last;
      for (uint64_t after = request->after(); true;) {
        // What comes later is found the next time.
        const uint64_t now = std::max(after, log.last_number());
        ASSIGN_OR_RETURN(const auto events,
                         log.Latest(after, request->since_unix_ms(), max, wanted));
        for (const v1::Event& event : events) {
          if (event.number() > now) break;
          if (!writer->Write(event)) return Error(Code::kCancelled, "the caller went away");
        }
        if (!request->follow()) return Ok();
        max = SIZE_MAX;
        after = now;
        while (log.last_number() <= after) {
          RETURN_IF_ERROR(cancellation.token().WaitFor(kLookEvery));
        }
      }
    });
  }

 private:
  Repository* const repository_;
  const uid_t uid_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeEventService(Repository* repository, const rpc::Caller& caller) {
  return std::make_unique<EventServiceImpl>(repository, caller.uid);
}

}  // namespace strata::imaged
