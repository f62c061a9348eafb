// Writes Dockerfiles and ignore files to start from: make_dockerfile_seeds DIRECTORY.
#include <cstdio>
#include <string>

#include "common/file_io.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string seeds[] = {
      "# escape=`\nARG V=1\nFROM a:${V:-2} AS b\nRUN --mount=type=secret,id=x y `\n z\n",
      "FROM scratch\nCOPY --chown=1:2 --chmod=755 <<E <<-'F' /d/\n$A\nE\n\tb\n\tF\nWORKDIR ../x\n",
      "FROM a\nENV A=1 B=\"2 $A\"\nENV C d e\nLABEL x='y'\nCMD [\"a\", \"\\u00e9\"]\nENTRYPOINT "
      "x\n",
      "FROM a AS s\nFROM s\nCOPY --from=0 a b\nEXPOSE 80/tcp ${P}\nVOLUME [\"/v\"]\nUSER u:g\n",
      "**/*.o\n!keep/[a-z]?.o\n# no\n/out/\\*\n"};
  int number = 0;
  for (const std::string& seed : seeds) {
    const std::string path = std::string(argv[1]) + "/dockerfile" + std::to_string(++number);
    if (const auto written = strata::WriteFileAtomically(path, seed); !written.ok()) {
      std::fprintf(stderr, "%s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}
