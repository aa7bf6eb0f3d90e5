// bf-opt: reads a module, runs passes, prints the module. `bf-opt --help` lists the passes.
#include "ir/bf_dialect.h"
#include "ir/schema_table/schema_table.h"
#include "passes/pipeline.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  bifront::installSchemaTable();
  mlir::DialectRegistry registry;
  bifront::registerDialects(registry);
  mlir::registerTransformsPasses();
  bifront::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Bifront's pass driver\n", registry));
}
