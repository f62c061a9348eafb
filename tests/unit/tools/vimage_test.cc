#include "tools/vimage/vimage.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <csignal>
#include <future>

#include "common/subprocess.h"
#include "tests/unit/tools/fake_daemons.h"

namespace strata::tools {
namespace {

class VimageTest : public ToolTest {
 protected:
  ToolRun Vimage(const std::vector<std::string>& words, const std::string& input = "") {
    return Run(VimageMain, words, input);
  }

  // Takes the whole stream, then answers with a result that names it.
  void AcceptImports() {
    service_.on_import = [this](grpc::ServerContext*, FakeImageService::ImportStream* stream) {
      iapi::ImportRequest request;
      while (stream->Read(&request)) {
        if (request.has_options()) options_ = request.options();
        complete_ = request.end();
        if (request.has_tar()) {
          largest_chunk_ = std::max(largest_chunk_, request.tar().size());
          received_ += request.tar();
        }
      }
      iapi::ImportEvent event;
      event.mutable_progress()->set_stage("commit");
      stream->Write(event);
      iapi::Image* image = event.mutable_result()->mutable_image();
      image->set_owner("root");
      image->set_name(options_.reference());
      image->set_tag("latest");
      event.mutable_result()->mutable_summary()->set_entries(3);
      stream->Write(event);
      return grpc::Status::OK;
    };
    Serve(service_);
  }

  FakeImageService service_;
  iapi::ImportOptions options_;
  std::string received_;
  size_t largest_chunk_ = 0;
  bool complete_ = false;  // The last message said so.
};

TEST_F(VimageTest, ImportSendsTheArchiveUnchangedInPiecesOfAtMostOneMebibyte) {
  AcceptImports();
  std::string archive(3'500'000, 'x');
  for (size_t i = 0; i < archive.size(); ++i) archive[i] = static_cast<char>(i * 7919 >> 8);
  ASSERT_TRUE(WriteFileAtomically(path("a.tar"), archive).ok());
  const ToolRun run = Vimage({"import", path("a.tar"), "web", "--env", "A=1", "--env", "B=2",
                              "--command", "python3 -m http.server", "--public", "--replace"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(received_ == archive);
  EXPECT_TRUE(complete_);
  EXPECT_LE(largest_chunk_, 1u << 20);
  EXPECT_EQ(options_.reference(), "web");
  EXPECT_EQ(options_.bytes_total(), archive.size());
  EXPECT_EQ(options_.config().command_size(), 3);
  EXPECT_EQ(options_.config().env_size(), 2);
  EXPECT_EQ(options_.visibility(), iapi::PUBLIC);
  EXPECT_TRUE(options_.replace());
  EXPECT_NE(run.out.find("root/web:latest: 3 entries"), std::string::npos) << run.out;
}

TEST_F(VimageTest, ImportReadsStandardInput) {
  AcceptImports();
  EXPECT_EQ(Vimage({"import", "-", "web"}, "archive bytes").exit_code, 0);
  EXPECT_EQ(received_, "archive bytes");
}

TEST_F(VimageTest, ImportOfADirectorySendsItsTar) {
  AcceptImports();
  ASSERT_TRUE(MakeDirectories(path("site/sub")).ok());
  ASSERT_TRUE(WriteFileAtomically(path("site/sub/index.html"), "hello, world").ok());
  const ToolRun run = Vimage({"import", path("site"), "web"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto files =
      ::strata::Run({"tar", "-xOf", "-", "--wildcards", "*sub/index.html"}, received_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->out, "hello, world") << files->err;
}

TEST_F(VimageTest, AFolderThatIsAnOciLayoutIsSentAsOne) {
  AcceptImports();
  ASSERT_TRUE(MakeDirectories(path("layout")).ok());
  ASSERT_TRUE(WriteFileAtomically(path("layout/index.json"), "{}").ok());
  EXPECT_EQ(Vimage({"import", path("layout"), "web"}).exit_code, 0);
  EXPECT_EQ(options_.format(), iapi::ARCHIVE_TAR);
  ASSERT_TRUE(WriteFileAtomically(path("layout/oci-layout"), "{}").ok());
  EXPECT_EQ(Vimage({"import", path("layout"), "web", "--ref", "a:1", "--platform", "linux/arm64"})
                .exit_code,
            0);
  EXPECT_EQ(options_.format(), iapi::ARCHIVE_OCI);
  EXPECT_EQ(options_.archive_reference(), "a:1");
  EXPECT_EQ(options_.platform(), "linux/arm64");
  EXPECT_EQ(Vimage({"import", path("layout"), "web", "--format", "tar"}).exit_code, 0);
  EXPECT_EQ(options_.format(), iapi::ARCHIVE_TAR);
  EXPECT_EQ(Vimage({"import", "-", "web", "--format", "docker"}, "x").exit_code, 0);
  EXPECT_EQ(options_.format(), iapi::ARCHIVE_DOCKER);
  EXPECT_EQ(Vimage({"import", "-", "web"}, "x").exit_code, 0);
  EXPECT_EQ(options_.format(), iapi::ARCHIVE_FORMAT_UNSPECIFIED);
  EXPECT_EQ(Vimage({"import", "-", "web", "--format", "zip"}, "x").exit_code, 2);
}

TEST_F(VimageTest, ARefusedImportStopsReadingItsDirectory) {
  service_.on_import = [](grpc::ServerContext*, FakeImageService::ImportStream*) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full");
  };
  Serve(service_);
  ASSERT_TRUE(MakeDirectories(path("site")).ok());
  ASSERT_TRUE(WriteFileAtomically(path("site/big"), std::string(8 << 20, 'x')).ok());
  EXPECT_EQ(Vimage({"import", path("site"), "web"}).exit_code, 7);
}

TEST_F(VimageTest, JsonPrintsOnlyTheResultOnStandardOutput) {
  AcceptImports();
  const ToolRun run = Vimage({"import", "-", "web", "--json"}, "x");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_TRUE(run.out.starts_with("{"));
  EXPECT_NE(run.out.find("\"entries\": \"3\""), std::string::npos) << run.out;
}

TEST_F(VimageTest, ARefusedImportEndsAtOnceThoughTheInputNeverDoes) {
  service_.on_import = [](grpc::ServerContext*, FakeImageService::ImportStream* stream) {
    iapi::ImportRequest request;
    stream->Read(&request);
    return grpc::Status(grpc::StatusCode::ALREADY_EXISTS, "root/web:latest exists: use --replace");
  };
  Serve(service_);
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]);
  const UniqueFd write_end(fds[1]);  // Stays open: no end of file.
  std::ostringstream out, err;
  Console console{out, err, read_end.get(), -1, -1, false};
  const std::string socket_path = socket();
  const char* argv[] = {"vimage", "import", "-", "web", "--socket", socket_path.c_str()};
  EXPECT_EQ(VimageMain(6, argv, console), 5);
  EXPECT_EQ(err.str(), "vimage: root/web:latest exists: use --replace\n");
}

TEST_F(VimageTest, AFailingMmdebstrapCancelsTheImportAndItsMessageIsShown) {
  std::promise<bool> was_complete;
  service_.on_import = [&](grpc::ServerContext*, FakeImageService::ImportStream* stream) {
    iapi::ImportRequest request;
    bool complete = false;
    while (stream->Read(&request)) complete = complete || request.end();
    was_complete.set_value(complete);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run = Vimage({"import", "debian:bookworm", "d", "--mirror",
                              "deb file:///nonexistent/strata bookworm main"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.err.find("mmdebstrap failed"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("E: "), std::string::npos) << run.err;
  EXPECT_FALSE(was_complete.get_future().get());
}

TEST_F(VimageTest, AMissingFileIsNotFoundAndNamed) {
  AcceptImports();
  const ToolRun run = Vimage({"import", "/nonexistent/a.tar", "web"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.err.find("/nonexistent/a.tar"), std::string::npos);
}

TEST_F(VimageTest, ADeadDaemonIsSaidWithItsSocket) {
  const ToolRun run = Vimage({"list"});
  EXPECT_EQ(run.exit_code, 6);
  EXPECT_NE(run.err.find(socket()), std::string::npos);
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1);
}

TEST_F(VimageTest, ASocketWithoutADaemonBehindItIsSaidWithinSeconds) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket().copy(address.sun_path, sizeof(address.sun_path) - 1);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  EXPECT_EQ(Vimage({"list"}).exit_code, 6);
}

TEST_F(VimageTest, EveryRefusalHasItsExitCode) {
  grpc::Status answer;
  service_.on_list = [&](const iapi::ListRequest&, iapi::ListResponse*) { return answer; };
  Serve(service_);
  const std::vector<std::pair<grpc::StatusCode, int>> cases = {
      {grpc::StatusCode::INVALID_ARGUMENT, 2},   {grpc::StatusCode::NOT_FOUND, 3},
      {grpc::StatusCode::PERMISSION_DENIED, 4},  {grpc::StatusCode::ALREADY_EXISTS, 5},
      {grpc::StatusCode::UNAVAILABLE, 6},        {grpc::StatusCode::FAILED_PRECONDITION, 7},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 7}, {grpc::StatusCode::DATA_LOSS, 8},
      {grpc::StatusCode::INTERNAL, 1},           {grpc::StatusCode::UNIMPLEMENTED, 1},
      {grpc::StatusCode::CANCELLED, 130},
  };
  for (const auto& [code, exit_code] : cases) {
    answer = grpc::Status(code, "the reason");
    const ToolRun run = Vimage({"list"});
    EXPECT_EQ(run.exit_code, exit_code);
    EXPECT_TRUE(run.err.starts_with("vimage: ")) << run.err;
  }
}

TEST_F(VimageTest, BrowseAsksForOnePageOrForAll) {
  std::vector<iapi::ListRequest> asked;
  service_.on_list = [&](const iapi::ListRequest& request, iapi::ListResponse* response) {
    asked.push_back(request);
    const bool first = request.page_token().empty();
    iapi::Image* image = response->add_images();
    image->set_owner("alice");
    image->set_name(first ? "mpi" : "mpi-python");
    image->set_tag("latest");
    response->set_total(2);
    if (first) response->set_next_page_token("go on");
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun page =
      Vimage({"browse", "mpi", "PYTHON", "--label", "course=os", "--sort", "size"});
  EXPECT_EQ(page.exit_code, 0);
  EXPECT_NE(page.out.find("alice/mpi:latest"), std::string::npos);
  EXPECT_NE(page.out.find("1 of 2 are shown"), std::string::npos) << page.out;
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(asked[0].all_visible());
  EXPECT_EQ(asked[0].words_size(), 2);
  EXPECT_EQ(asked[0].labels().at("course"), "os");
  EXPECT_EQ(asked[0].sort(), iapi::SORT_SIZE);
  const ToolRun all = Vimage({"browse", "--all"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_NE(all.out.find("alice/mpi-python:latest"), std::string::npos);
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[2].page_token(), "go on");
}

TEST_F(VimageTest, ABrokenExportLeavesNoFile) {
  service_.on_export = [](grpc::ServerWriter<iapi::ExportChunk>* writer) {
    iapi::ExportChunk chunk;
    chunk.set_tar("half");
    writer->Write(chunk);
    return grpc::Status(grpc::StatusCode::DATA_LOSS, "object b3:12 is damaged");
  };
  Serve(service_);
  ASSERT_TRUE(MakeDirectories(path("d")).ok());
  const ToolRun run = Vimage({"export", "web", path("d/web.tar")});
  EXPECT_EQ(run.exit_code, 8);
  EXPECT_EQ(::rmdir(path("d").c_str()), 0) << "something was left in it";
}

TEST_F(VimageTest, ExportWritesTheArchiveToAFileOrToStandardOutput) {
  service_.on_export = [](grpc::ServerWriter<iapi::ExportChunk>* writer) {
    iapi::ExportChunk chunk;
    chunk.set_tar("the ");
    writer->Write(chunk);
    chunk.set_tar("archive");
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  Serve(service_);
  EXPECT_EQ(Vimage({"export", "web", path("web.tar")}).exit_code, 0);
  EXPECT_EQ(*ReadFile(path("web.tar")), "the archive");
  EXPECT_EQ(Vimage({"export", "web"}).raw_out, "the archive");
}

TEST_F(VimageTest, ExportAsksForTheFormatAndKeepsProgressOutOfTheArchive) {
  service_.on_export = [](grpc::ServerWriter<iapi::ExportChunk>* writer) {
    iapi::ExportChunk chunk;
    chunk.mutable_progress()->set_stage("encode");
    writer->Write(chunk);
    chunk.clear_progress();
    chunk.set_tar("archive");
    writer->Write(chunk);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run =
      Vimage({"export", "web", "--format", "oci", "--compression", "zstd", "-o", path("web.tar")});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(*ReadFile(path("web.tar")), "archive");
  EXPECT_EQ(service_.export_request.format(), iapi::ARCHIVE_OCI);
  EXPECT_EQ(service_.export_request.compression(), iapi::LAYER_ZSTD);
  EXPECT_EQ(Vimage({"export", "web"}).raw_out, "archive");
  EXPECT_EQ(service_.export_request.format(), iapi::ARCHIVE_TAR);
  EXPECT_EQ(Vimage({"export", "web", "--format", "docker"}).raw_out, "archive");
  EXPECT_EQ(service_.export_request.format(), iapi::ARCHIVE_DOCKER);
}

TEST_F(VimageTest, FsckExitsWith8WhenItFoundAProblem) {
  service_.on_fsck = [](grpc::ServerWriter<iapi::FsckEvent>* writer) {
    iapi::FsckEvent event;
    event.set_problem("object b3:12 is damaged");
    writer->Write(event);
    event.mutable_result()->set_problems(1);
    writer->Write(event);
    return grpc::Status::OK;
  };
  Serve(service_);
  const ToolRun run = Vimage({"fsck"});
  EXPECT_EQ(run.exit_code, 8);
  EXPECT_NE(run.out.find("object b3:12 is damaged"), std::string::npos);
  EXPECT_NE(Vimage({"fsck", "--json"}).out.find("\"problems\": [\n"), std::string::npos);
}

TEST_F(VimageTest, WrongUsageIsTwoAndSaysWhereToLook) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"frobnicate"},
                                             {"show"},
                                             {"share", "x", "everyone"},
                                             {"host"},
                                             {"host", "frobnicate"},
                                             {"host", "remove"},
                                             {"host", "token", "--ttl", "soon"},
                                             {"import", "-", "x", "--env", "="},
                                             {"import", "-", "x", "--packages", "a"},
                                             {"list", "--", "x"}}) {
    const ToolRun run = Vimage(words);
    EXPECT_EQ(run.exit_code, 2) << testing::PrintToString(words);
    EXPECT_TRUE(run.err.starts_with("vimage: ")) << run.err;
  }
}

TEST_F(VimageTest, EveryCommandHasHelpWithExamplesAndExitCodes) {
  for (const char* command :
       {"import", "list", "browse", "show", "ls", "share", "delete", "export", "fsck"}) {
    const ToolRun run = Vimage({command, "--help"});
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_NE(run.out.find("Examples:\n  vimage"), std::string::npos) << command;
    EXPECT_NE(run.out.find("Exit codes:"), std::string::npos) << command;
    EXPECT_NE(run.out.find("--json"), std::string::npos) << command;
  }
  for (const char* command : {"init", "token", "join", "list", "remove", "renew"}) {
    const ToolRun run = Vimage({"host", command, "--help"});
    EXPECT_EQ(run.exit_code, 0) << command;
    EXPECT_NE(run.out.find("Examples:\n  vimage host "), std::string::npos) << command;
    EXPECT_NE(run.out.find("Exit codes:"), std::string::npos) << command;
  }
}

TEST_F(VimageTest, CtrlCCancelsTheCallAndExitsWith130) {
  std::promise<void> begun;
  std::promise<bool> cancelled;
  service_.on_import = [&](grpc::ServerContext* context, FakeImageService::ImportStream* stream) {
    iapi::ImportRequest request;
    stream->Read(&request);
    begun.set_value();
    while (stream->Read(&request)) {
    }
    cancelled.set_value(context->IsCancelled());
    return grpc::Status::CANCELLED;
  };
  Serve(service_);
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd read_end(fds[0]);
  const UniqueFd write_end(fds[1]);
  const auto err = Open(path("messages"), O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(err.ok());
  SubprocessOptions options;
  options.argv = {STRATA_VIMAGE, "import", "-", "web", "--socket", socket()};
  options.stdin_fd = read_end.get();
  options.stderr_fd = err->get();
  auto process = Subprocess::Start(options);
  ASSERT_TRUE(process.ok());
  begun.get_future().wait();
  process->Kill(SIGINT);
  const auto exit_code = process->WaitFor(std::chrono::seconds(20));
  ASSERT_TRUE(exit_code.ok());
  EXPECT_EQ(*exit_code, 130);
  EXPECT_TRUE(cancelled.get_future().get());
  EXPECT_EQ(*ReadFile(path("messages")), "vimage: cancelled: no image was made\n");
}

}  // namespace
}  // namespace strata::tools
