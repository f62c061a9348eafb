#include "tools/cli/console.h"
#include "tools/cli/interrupt.h"
#include "tools/vnet/vnet.h"

int main(int argc, char** argv) {
  strata::tools::BlockInterrupts();
  strata::tools::Console console = strata::tools::StandardConsole();
  return strata::tools::VnetMain(argc, argv, console);
}
