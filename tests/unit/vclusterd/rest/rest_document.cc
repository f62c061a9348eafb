// Prints what is made from the table of routes: rest_document openapi | routes.
#include <cstdio>
#include <string>

#include "vclusterd/rest/open_api.h"
#include "vclusterd/rest/routes/routes.h"

int main(int argc, char** argv) {
  const std::string what = argc == 2 ? argv[1] : "";
  const auto table = strata::vcluster::rest::MakeRoutes();
  std::string text;
  if (what == "openapi") text = strata::vcluster::rest::OpenApiDocument(table).dump(1) + "\n";
  if (what == "routes") text = strata::vcluster::rest::RoutesTable(table);
  if (text.empty()) {
    std::fprintf(stderr, "usage: rest_document openapi|routes\n");
    return 2;
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
}
