#include "tools/cli/console.h"
#include "tools/cli/interrupt.h"
#include "tools/vclass/vclass.h"

int main(int argc, char** argv) {
  strata::tools::BlockInterrupts();
  strata::tools::Console console = strata::tools::StandardConsole();
  return strata::tools::VclassMain(argc, argv, console);
}
