// Times what people do with a catalog of many images: catalog_bench DIRECTORY [IMAGES]
// Fills a catalog below DIRECTORY (once), opens it anew, and prints the memory that it takes and
// how long browsing takes: each kind of question 500 times, in turn. 10,000 images of five layers
// with 2,000 objects each stand for 100 million objects, which browsing does not look at.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "imaged/catalog/catalog.h"
#include "imaged/catalog/own_records.h"

namespace strata::imaged {
namespace {

constexpr uid_t kFirstUser = 60'000;
constexpr int kUsers = 300;
constexpr int kRounds = 500;

uint64_t ResidentBytes() {
  const auto status = ReadFile("/proc/self/statm");
  if (!status.ok()) return 0;
  return std::strtoull(status->c_str() + status->find(' '), nullptr, 10) * 4096;
}

Status Fill(Catalog& catalog, int images) {
  static const char* const kWords[] = {"python", "spark", "mpi", "jupyter", "compiler", "database"};
  v1::ChangeClassRequest all;
  all.set_name("everybody");
  for (int user = 0; user < kUsers; user += 2) {
    all.add_add(std::to_string(kFirstUser + static_cast<uid_t>(user)));
  }
  RETURN_IF_ERROR(catalog.classes().Change(kFirstUser, all, 1));
  for (int i = 0; i < images; ++i) {
    const uid_t owner = kFirstUser + static_cast<uid_t>(i % kUsers);
    v1::Image draft;
    for (int layer = 0; layer < 5; ++layer) {
      v1::Layer* added = draft.add_layers();
      const std::string salt = layer < 4 ? std::to_string(layer) : std::to_string(i);
      added->set_digest(Hasher::Of(salt).ToString());
      added->set_content_bytes(static_cast<uint64_t>(layer + i) * 1000);
      added->set_entries(2000);
      added->mutable_history()->set_creator_uid(kFirstUser);
      added->mutable_history()->set_image_digest(Hasher::Of(salt + "image").ToString());
      added->mutable_history()->set_command("vsave hpc/0 tools:v2 --description compilers");
    }
    draft.set_description(std::string("An image with ") + kWords[i % 6] + " and " +
                          kWords[(i / 6) % 6] + ", made for the exercises of week " +
                          std::to_string(i % 14));
    (*draft.mutable_labels())["course"] = "course-" + std::to_string(i % 40);
    if (i % 3 == 0) draft.set_visibility(v1::PUBLIC);
    const std::string name = "image-" + std::to_string(i) + ":v" + std::to_string(i % 4);
    ASSIGN_OR_RETURN(const auto reserved, catalog.images().Reserve(owner, name, false));
    RETURN_IF_ERROR(catalog.images().Publish(reserved, std::move(draft)));
    if (owner != kFirstUser || i % 3 == 0) continue;
    v1::ShareRequest share;
    share.set_reference(name);
    v1::Grant* grant = share.add_add();
    grant->set_kind(v1::GRANT_CLASS);
    grant->set_name("everybody");
    RETURN_IF_ERROR(catalog.images().Share(owner, share));
  }
  return Ok();
}

struct Question {
  const char* name;
  std::function<v1::ListRequest()> request;
};

std::vector<Question> Questions() {
  const auto browse = [] {
    v1::ListRequest request;
    request.set_all_visible(true);
    return request;
  };
  return {{"first page of all", browse},
          {"two words",
           [=] {
             v1::ListRequest request = browse();
             request.add_words("python");
             request.add_words("week 7");
             return request;
           }},
          {"a label, newest first",
           [=] {
             v1::ListRequest request = browse();
             (*request.mutable_labels())["course"] = "course-7";
             request.set_sort(v1::SORT_CREATED);
             request.set_descending(true);
             return request;
           }},
          {"largest first, 1000",
           [=] {
             v1::ListRequest request = browse();
             request.set_sort(v1::SORT_SIZE);
             request.set_descending(true);
             request.set_page_size(1000);
             return request;
           }},
          {"his own", [] { return v1::ListRequest(); }}};
}

Status Measure(Catalog& catalog) {
  const std::vector<Question> questions = Questions();
  std::vector<std::vector<double>> times(questions.size());
  std::vector<uint64_t> found(questions.size());
  for (int round = 0; round < kRounds; ++round) {
    const uid_t user = kFirstUser + static_cast<uid_t>(round % kUsers);
    for (size_t i = 0; i < questions.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      ASSIGN_OR_RETURN(const v1::ListResponse page,
                       catalog.images().List(user, questions[i].request()));
      times[i].push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
      found[i] = page.total();
    }
  }
  std::printf("%-24s %8s %8s %8s %8s\n", "question", "found", "p50 ms", "p99 ms", "max ms");
  for (size_t i = 0; i < questions.size(); ++i) {
    std::sort(times[i].begin(), times[i].end());
    std::printf("%-24s %8llu %8.2f %8.2f %8.2f\n", questions[i].name,
                static_cast<unsigned long long>(found[i]), times[i][kRounds / 2],
                times[i][kRounds * 99 / 100], times[i].back());
  }
  return Ok();
}

Status Run(const std::string& directory, int images) {
  if (!PathExists(directory)) {
    ASSIGN_OR_RETURN(auto records, records::OpenRocksRecordStore(directory, OwnRecords()));
    ASSIGN_OR_RETURN(const auto catalog, Catalog::Open(std::move(records), {}));
    const auto start = std::chrono::steady_clock::now();
    RETURN_IF_ERROR(Fill(*catalog, images));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("filled: %.2f ms per image\n", took.count() * 1000 / images);
  }
  ASSIGN_OR_RETURN(auto records, records::OpenRocksRecordStore(directory, OwnRecords()));
  const uint64_t before = ResidentBytes();
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const auto catalog, Catalog::Open(std::move(records), {}));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("opened in %.0f ms, index %.1f MiB (%.0f bytes per image)\n", took.count() * 1000,
              static_cast<double>(ResidentBytes() - before) / (1 << 20),
              static_cast<double>(ResidentBytes() - before) / images);
  return Measure(*catalog);
}

}  // namespace
}  // namespace strata::imaged

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: catalog_bench DIRECTORY [IMAGES]\n");
    return 2;
  }
  const int images = argc == 3 ? std::atoi(argv[2]) : 10'000;
  if (images < 1) {
    std::fprintf(stderr, "catalog_bench: IMAGES is a number above 0\n");
    return 2;
  }
  const strata::Status status = strata::imaged::Run(argv[1], images);
  if (status.ok()) return 0;
  std::fprintf(stderr, "catalog_bench: %s\n", status.error().message().c_str());
  return 1;
}
