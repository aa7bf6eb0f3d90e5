// bf-opt: reads a module, runs passes, prints the module. `bf-opt --help` lists the passes.
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "passes/autodiff.h"
#include "passes/pipeline.h"
#include "written_derivatives.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/CommandLine.h"

static llvm::cl::opt<std::string>
    derivatives("derivatives", llvm::cl::desc("Where --bf-autodiff finds derivatives"),
                llvm::cl::value_desc("file"));

int main(int argc, char **argv) {
  bifront::installSchemaTable();
  mlir::DialectRegistry registry;
  bifront::registerDialects(registry);
  mlir::registerTransformsPasses();
  bifront::registerPasses();
  static bifront::WrittenDerivatives source(derivatives.getValue());
  mlir::registerPass([] { return bifront::createAutodiffPass(source); });
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Bifront's pass driver\n", registry));
}
