// Kernels against plain loops over the same elements: every op, every type, tails, strides, rows.
#include "codegen/codegen_error.h"
#include "codegen/kernel_cache.h"
#include "codegen/lower_kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/bit.h"
#include "llvm/IR/Module.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace bifront;

namespace {

// Kernels are written down op by op.
class BodyBuilder {
public:
  uint32_t input(ElementType type) {
    body.inputs.push_back(type);
    return body.inputs.size() - 1;
  }
  uint32_t number(ElementType type) {
    body.numbers.push_back(type);
    return body.inputs.size() + body.numbers.size() - 1;
  }
  uint32_t op(Opcode opcode, ElementType type, std::vector<uint32_t> operands, uint8_t detail = 0,
              uint64_t constant = 0) {
    ElementOp made{opcode, type, detail, {}, constant};
    std::copy(operands.begin(), operands.end(), made.operands.begin());
    body.ops.push_back(made);
    return body.firstOp() + body.ops.size() - 1;
  }
  uint32_t constant(ElementType type, double value) {
    return op(Opcode::Constant, type, {}, 0,
              isFloat(type) ? llvm::bit_cast<uint64_t>(value)
                            : static_cast<uint64_t>(static_cast<int64_t>(value)));
  }
  void output(uint32_t value) { body.outputs.push_back({value, body.typeOf(value)}); }
  KernelBody body;
};

float halfToFloat(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return static_cast<float>(half);
}
uint16_t floatToHalf(float value) {
  auto half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}
float bfloatToFloat(uint16_t bits) {
  return llvm::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
uint16_t floatToBfloat(float value) {
  if (std::isnan(value))
    return 0x7fc0;
  uint32_t bits = llvm::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// One element, as a double or an integer, whichever it is.
struct Element {
  double f = 0;
  int64_t i = 0;
};

Element read(ElementType type, const char *at) {
  auto as = [&](auto value) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  switch (type) {
  case ElementType::I1: return {0, as(uint8_t()) != 0};
  case ElementType::I8: return {0, as(int8_t())};
  case ElementType::I16: return {0, as(int16_t())};
  case ElementType::I32: return {0, as(int32_t())};
  case ElementType::I64: return {0, as(int64_t())};
  case ElementType::F16: return {halfToFloat(as(uint16_t())), 0};
  case ElementType::BF16: return {bfloatToFloat(as(uint16_t())), 0};
  case ElementType::F32: return {as(float()), 0};
  case ElementType::F64: return {as(double()), 0};
  }
  return {};
}

void write(ElementType type, char *at, Element value) {
  auto put = [&](auto bits) { std::memcpy(at, &bits, sizeof(bits)); };
  switch (type) {
  case ElementType::I1: return put(static_cast<uint8_t>(value.i & 1));
  case ElementType::I8: return put(static_cast<int8_t>(value.i));
  case ElementType::I16: return put(static_cast<int16_t>(value.i));
  case ElementType::I32: return put(static_cast<int32_t>(value.i));
  case ElementType::I64: return put(value.i);
  case ElementType::F16: return put(floatToHalf(static_cast<float>(value.f)));
  case ElementType::BF16: return put(floatToBfloat(static_cast<float>(value.f)));
  case ElementType::F32: return put(static_cast<float>(value.f));
  case ElementType::F64: return put(value.f);
  }
}

struct TestTensor {
  ElementType type;
  int64_t rowStep, step; // bytes
  std::vector<char> memory;
  char *at(int64_t row, int64_t i) { return memory.data() + 64 + row * rowStep + i * step; }
};

TestTensor makeTensor(ElementType type, InnerAccess access, int64_t n, int64_t m) {
  TestTensor tensor{type, 0, 0, {}};
  int64_t bytes = bytesOf(type);
  tensor.step = access == InnerAccess::Contiguous  ? bytes
                : access == InnerAccess::Broadcast ? 0
                                                   : 3 * bytes;
  tensor.rowStep = tensor.step * n + 5 * bytes;
  tensor.memory.assign(128 + tensor.rowStep * m + 8, 0x55);
  return tensor;
}

void run(KernelFn fn, std::vector<TestTensor> &tensors, int64_t n, int64_t m,
         const std::vector<Scalar64> &scalars) {
  std::vector<char *> pointers;
  std::vector<int64_t> strides;
  for (TestTensor &tensor : tensors)
    pointers.push_back(tensor.at(0, 0)), strides.push_back(tensor.rowStep);
  for (TestTensor &tensor : tensors)
    strides.push_back(tensor.step);
  fn(pointers.data(), strides.data(), n, m, scalars.data());
}

using Reference = std::function<Element(const std::vector<Element> &)>;
using Draw = std::function<Element(std::mt19937 &)>;

// `tolerance` in units of the result's own precision; 0: exactly.
void check(const KernelBody &body, const Reference &reference, const Draw &draw,
           double tolerance = 0, const std::vector<Scalar64> &scalars = {}) {
  std::mt19937 random(7);
  size_t inputs = body.inputs.size();
  ElementType out = body.outputs[0].type;
  double epsilon = out == ElementType::F64    ? 0x1p-52
                   : out == ElementType::F32  ? 0x1p-23
                   : out == ElementType::BF16 ? 0x1p-7
                                              : 0x1p-10;
  for (int pattern = 0; pattern < 4; ++pattern) {
    std::vector<InnerAccess> access(body.numOperands(), InnerAccess::Contiguous);
    for (size_t k = 0; k < inputs; ++k)
      if (pattern == 1 + static_cast<int>(k % 2))
        access[k] = InnerAccess::Broadcast;
    if (pattern == 3)
      std::fill(access.begin(), access.end(), InnerAccess::Strided);
    CompiledKernel kernel = kernelFor(body, access);
    for (int64_t n : {1, 7, 16, 37})
      for (int64_t m : {1, 3}) {
        std::vector<TestTensor> tensors;
        for (size_t k = 0; k < body.numOperands(); ++k)
          tensors.push_back(makeTensor(k < inputs ? body.inputs[k] : out, access[k], n, m));
        for (size_t k = 0; k < inputs; ++k)
          for (int64_t row = 0; row < m; ++row)
            for (int64_t i = 0; i < n; ++i)
              write(tensors[k].type, tensors[k].at(row, i), draw(random));
        std::vector<char> expectedMemory = tensors.back().memory;
        run(kernel.fn, tensors, n, m, scalars);
        TestTensor &result = tensors.back();
        for (int64_t row = 0; row < m; ++row)
          for (int64_t i = 0; i < n; ++i) {
            std::vector<Element> values;
            for (size_t k = 0; k < inputs; ++k)
              values.push_back(read(tensors[k].type, tensors[k].at(row, i)));
            char rounded[8];
            write(out, rounded, reference(values));
            Element expected = read(out, rounded), actual = read(out, result.at(row, i));
            if (isFloat(out)) {
              bool same = std::isnan(expected.f) ? std::isnan(actual.f) : expected.f == actual.f;
              if (!same)
                ASSERT_LE(std::abs(actual.f - expected.f),
                          tolerance * epsilon * std::max(std::abs(expected.f), 1e-30))
                    << "n " << n << " row " << row << " i " << i << " pattern " << pattern
                    << " input " << (values.empty() ? 0 : values[0].f) << " expected " << expected.f
                    << " is " << actual.f;
            } else {
              ASSERT_EQ(actual.i, expected.i) << "n " << n << " row " << row << " i " << i
                                              << " pattern " << pattern << " of " << values[0].i;
            }
            std::memcpy(expectedMemory.data() + (result.at(row, i) - result.memory.data()),
                        result.at(row, i), bytesOf(out));
          }
        ASSERT_EQ(result.memory, expectedMemory) << "wrote where no element is";
      }
  }
}

Element drawFloat(std::mt19937 &random) {
  static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0, -1.0, 0.5, 2.5, -2.5};
  if (random() % 8 == 0)
    return {special[random() % std::size(special)], 0};
  return {std::uniform_real_distribution<double>(-4, 4)(random), 0};
}
Element drawPositive(std::mt19937 &random) {
  return {std::uniform_real_distribution<double>(0.01, 4)(random), 0};
}
Element drawInt(std::mt19937 &random) {
  static const int64_t special[] = {
      0,    1,   -1,    std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
      -128, 127, -32768};
  if (random() % 6 == 0)
    return {0, special[random() % std::size(special)]};
  return {0, static_cast<int64_t>(random() % 2001) - 1000};
}

const ElementType kFloats[] = {ElementType::F32, ElementType::F64, ElementType::F16,
                               ElementType::BF16};
const ElementType kInts[] = {ElementType::I8, ElementType::I16, ElementType::I32, ElementType::I64};

KernelBody simpleBody(Opcode opcode, ElementType in, ElementType out, unsigned arity,
                      uint8_t detail = 0) {
  BodyBuilder builder;
  std::vector<uint32_t> operands;
  for (unsigned k = 0; k < arity; ++k)
    operands.push_back(builder.input(in));
  builder.output(builder.op(opcode, out, operands, detail));
  return builder.body;
}

// A result is rounded once; f16 and bf16 are computed as f32.
double inPrecision(ElementType type, double value) {
  return type == ElementType::F64 ? value : static_cast<float>(value);
}

} // namespace

TEST(Kernel, FloatArithmetic) {
  struct Row {
    Opcode opcode;
    unsigned arity;
    std::function<double(double, double)> reference;
  };
  const Row rows[] = {
      {Opcode::AddF, 2, [](double a, double b) { return a + b; }},
      {Opcode::SubF, 2, [](double a, double b) { return a - b; }},
      {Opcode::MulF, 2, [](double a, double b) { return a * b; }},
      {Opcode::DivF, 2, [](double a, double b) { return a / b; }},
      {Opcode::NegF, 1, [](double a, double) { return -a; }},
      {Opcode::MaximumF, 2,
       [](double a, double b) { return a != a || b != b ? NAN : std::max(a, b); }},
      {Opcode::MinimumF, 2,
       [](double a, double b) { return a != a || b != b ? NAN : std::min(a, b); }},
      {Opcode::MaxNumF, 2, [](double a, double b) { return std::fmax(a, b); }},
      {Opcode::MinNumF, 2, [](double a, double b) { return std::fmin(a, b); }},
      {Opcode::AbsF, 1, [](double a, double) { return std::fabs(a); }},
      {Opcode::Ceil, 1, [](double a, double) { return std::ceil(a); }},
      {Opcode::Floor, 1, [](double a, double) { return std::floor(a); }},
      {Opcode::Trunc, 1, [](double a, double) { return std::trunc(a); }},
      {Opcode::RoundEven, 1, [](double a, double) { return std::nearbyint(a); }},
      {Opcode::Round, 1, [](double a, double) { return std::round(a); }},
      {Opcode::Sqrt, 1, [](double a, double) { return std::sqrt(a); }},
      {Opcode::CopySign, 2, [](double a, double b) { return std::copysign(a, b); }},
  };
  for (ElementType type : kFloats)
    for (const Row &row : rows) {
      SCOPED_TRACE("opcode " + std::to_string(static_cast<int>(row.opcode)) + " type " +
                   std::to_string(static_cast<int>(type)));
      check(
          simpleBody(row.opcode, type, type, row.arity),
          [&](const std::vector<Element> &v) {
            return Element{inPrecision(type, row.reference(v[0].f, v.size() > 1 ? v[1].f : 0)), 0};
          },
          drawFloat);
    }
}

TEST(Kernel, MathFunctions) {
  std::map<std::string_view, double (*)(double)> unary = {
      {"exp", std::exp},     {"exp2", std::exp2},   {"expm1", std::expm1}, {"log", std::log},
      {"log2", std::log2},   {"log10", std::log10}, {"log1p", std::log1p}, {"sin", std::sin},
      {"cos", std::cos},     {"tan", std::tan},     {"asin", std::asin},   {"acos", std::acos},
      {"atan", std::atan},   {"sinh", std::sinh},   {"cosh", std::cosh},   {"tanh", std::tanh},
      {"asinh", std::asinh}, {"acosh", std::acosh}, {"atanh", std::atanh}, {"cbrt", std::cbrt},
      {"erf", std::erf},     {"erfc", std::erfc}};
  std::map<std::string_view, double (*)(double, double)> binary = {
      {"atan2", std::atan2}, {"pow", std::pow}, {"fmod", std::fmod}};
  for (size_t i = 0; i < mathFunctions().size(); ++i) {
    const MathFunction &function = mathFunctions()[i];
    for (ElementType type : kFloats) {
      SCOPED_TRACE(std::string(function.name) + " type " + std::to_string(static_cast<int>(type)));
      check(
          simpleBody(Opcode::Call, type, type, function.arity, i),
          [&](const std::vector<Element> &v) {
            double result = function.arity == 1 ? unary.at(function.name)(v[0].f)
                                                : binary.at(function.name)(v[0].f, v[1].f);
            return Element{result, 0};
          },
          function.arity == 1 ? drawFloat : drawPositive, 4);
    }
  }
}

TEST(Kernel, IntegerArithmetic) {
  using U = uint64_t;
  auto least = [](ElementType type) {
    return type == ElementType::I64 ? std::numeric_limits<int64_t>::min()
                                    : -(int64_t(1) << (8 * bytesOf(type) - 1));
  };
  for (ElementType type : kInts) {
    struct Row {
      Opcode opcode;
      std::function<int64_t(int64_t, int64_t)> reference;
    };
    auto bad = [&](int64_t a, int64_t b) { return b == 0 || (a == least(type) && b == -1); };
    const Row rows[] = {
        {Opcode::AddI, [](int64_t a, int64_t b) { return int64_t(U(a) + U(b)); }},
        {Opcode::SubI, [](int64_t a, int64_t b) { return int64_t(U(a) - U(b)); }},
        {Opcode::MulI, [](int64_t a, int64_t b) { return int64_t(U(a) * U(b)); }},
        {Opcode::AndI, [](int64_t a, int64_t b) { return a & b; }},
        {Opcode::OrI, [](int64_t a, int64_t b) { return a | b; }},
        {Opcode::XOrI, [](int64_t a, int64_t b) { return a ^ b; }},
        {Opcode::MaxSI, [](int64_t a, int64_t b) { return std::max(a, b); }},
        {Opcode::MinSI, [](int64_t a, int64_t b) { return std::min(a, b); }},
        {Opcode::DivSI, [&](int64_t a, int64_t b) { return bad(a, b) ? a : a / b; }},
        {Opcode::RemSI, [&](int64_t a, int64_t b) { return bad(a, b) ? 0 : a % b; }},
        {Opcode::FloorDivSI,
         [&](int64_t a, int64_t b) {
           return bad(a, b) ? a : a / b - (a % b != 0 && ((a % b) ^ b) < 0);
         }},
        {Opcode::CeilDivSI,
         [&](int64_t a, int64_t b) {
           return bad(a, b) ? a : a / b + (a % b != 0 && ((a % b) ^ b) >= 0);
         }},
    };
    for (const Row &row : rows) {
      SCOPED_TRACE("opcode " + std::to_string(static_cast<int>(row.opcode)) + " type " +
                   std::to_string(static_cast<int>(type)));
      check(
          simpleBody(row.opcode, type, type, 2),
          [&](const std::vector<Element> &v) { return Element{0, row.reference(v[0].i, v[1].i)}; },
          drawInt);
    }
    check(
        simpleBody(Opcode::IPowI, type, type, 2),
        [](const std::vector<Element> &v) {
          U result = 1;
          for (int64_t i = 0; i < v[1].i; ++i)
            result *= U(v[0].i);
          return Element{0, int64_t(result)};
        },
        [](std::mt19937 &random) { return Element{0, int64_t(random() % 9)}; });
  }
}

TEST(Kernel, ConversionsBetweenAllTypes) {
  std::vector<ElementType> all(std::begin(kFloats), std::end(kFloats));
  all.insert(all.end(), std::begin(kInts), std::end(kInts));
  for (ElementType from : all)
    for (ElementType to : all) {
      if (from == to)
        continue;
      SCOPED_TRACE(std::to_string(static_cast<int>(from)) + " to " +
                   std::to_string(static_cast<int>(to)));
      Opcode opcode = isFloat(from) ? (isFloat(to) ? Opcode::ConvertF : Opcode::FPToSI)
                      : isFloat(to)
                          ? Opcode::SIToFP
                          : (bytesOf(from) < bytesOf(to) ? Opcode::ExtSI : Opcode::TruncI);
      check(
          simpleBody(opcode, from, to, 1),
          [&](const std::vector<Element> &v) {
            if (isFloat(from) && isFloat(to))
              return Element{v[0].f, 0};
            if (isFloat(from))
              return Element{0, static_cast<int64_t>(v[0].f)};
            if (isFloat(to))
              return Element{to == ElementType::F64 ? static_cast<double>(v[0].i)
                                                    : static_cast<float>(v[0].i),
                             0};
            return v[0];
          },
          [&](std::mt19937 &random) {
            // What is out of an integer type's range has no value to compare with.
            return isFloat(from) && !isFloat(to)
                       ? Element{std::uniform_real_distribution<double>(-100, 100)(random), 0}
                   : isFloat(from) ? drawFloat(random)
                                   : drawInt(random);
          });
    }
}

TEST(Kernel, ComparisonsGiveBoolTensors) {
  using mlir::arith::CmpFPredicate;
  using mlir::arith::CmpIPredicate;
  const std::pair<CmpFPredicate, std::function<bool(double, double)>> floats[] = {
      {CmpFPredicate::OEQ, [](double a, double b) { return a == b; }},
      {CmpFPredicate::UNE, [](double a, double b) { return a != b; }},
      {CmpFPredicate::OLT, [](double a, double b) { return a < b; }},
      {CmpFPredicate::OLE, [](double a, double b) { return a <= b; }},
      {CmpFPredicate::OGT, [](double a, double b) { return a > b; }},
      {CmpFPredicate::OGE, [](double a, double b) { return a >= b; }},
      {CmpFPredicate::UNO, [](double a, double b) { return a != a || b != b; }},
      {CmpFPredicate::ORD, [](double a, double b) { return a == a && b == b; }},
      {CmpFPredicate::ULT, [](double a, double b) { return !(a >= b); }},
      {CmpFPredicate::UGE, [](double a, double b) { return !(a < b); }},
      {CmpFPredicate::ONE, [](double a, double b) { return a < b || a > b; }},
  };
  for (ElementType type : kFloats)
    for (const auto &[predicate, reference] : floats)
      check(
          simpleBody(Opcode::CmpF, type, ElementType::I1, 2, static_cast<uint8_t>(predicate)),
          [&](const std::vector<Element> &v) { return Element{0, reference(v[0].f, v[1].f)}; },
          drawFloat);
  const std::pair<CmpIPredicate, std::function<bool(int64_t, int64_t)>> ints[] = {
      {CmpIPredicate::eq, [](int64_t a, int64_t b) { return a == b; }},
      {CmpIPredicate::slt, [](int64_t a, int64_t b) { return a < b; }},
      {CmpIPredicate::sge, [](int64_t a, int64_t b) { return a >= b; }},
      {CmpIPredicate::ult, [](int64_t a, int64_t b) { return uint64_t(a) < uint64_t(b); }},
  };
  for (ElementType type : kInts)
    for (const auto &[predicate, reference] : ints)
      check(
          simpleBody(Opcode::CmpI, type, ElementType::I1, 2, static_cast<uint8_t>(predicate)),
          [&](const std::vector<Element> &v) { return Element{0, reference(v[0].i, v[1].i)}; },
          drawInt);
  for (auto [opcode, reference] :
       {std::pair<Opcode, bool (*)(double)>{Opcode::IsNaN, [](double a) { return a != a; }},
        {Opcode::IsInf, [](double a) { return std::isinf(a); }},
        {Opcode::IsFinite, [](double a) { return std::isfinite(a); }}})
    for (ElementType type : kFloats)
      check(
          simpleBody(opcode, type, ElementType::I1, 1),
          [&, reference = reference](const std::vector<Element> &v) {
            return Element{0, reference(v[0].f)};
          },
          drawFloat);
}

// where(mask, x * k, y) with a bool tensor, floats of two widths and a number of the graph.
TEST(Kernel, MixesTypesAndNumbers) {
  BodyBuilder builder;
  uint32_t mask = builder.input(ElementType::I1), x = builder.input(ElementType::F32);
  uint32_t y = builder.input(ElementType::F64), k = builder.number(ElementType::F64);
  uint32_t wide = builder.op(Opcode::ConvertF, ElementType::F64, {x});
  uint32_t scaled = builder.op(Opcode::MulF, ElementType::F64, {wide, k});
  builder.output(builder.op(Opcode::Select, ElementType::F64, {mask, scaled, y}));
  Scalar64 factor;
  factor.f = 2.5;
  check(
      builder.body,
      [](const std::vector<Element> &v) { return Element{v[0].i ? v[1].f * 2.5 : v[2].f, 0}; },
      [](std::mt19937 &random) {
        return Element{std::uniform_real_distribution<double>(-4, 4)(random),
                       static_cast<int64_t>(random() % 2)};
      },
      0, {factor});
}

TEST(Kernel, HalfPrecisionRoundsAfterEveryOp) {
  for (ElementType type : {ElementType::F16, ElementType::BF16}) {
    BodyBuilder builder;
    uint32_t a = builder.input(type), b = builder.input(type);
    uint32_t product = builder.op(Opcode::MulF, type, {a, b});
    builder.output(builder.op(Opcode::AddF, type, {product, a}));
    auto round = [&](double value) {
      char bits[2];
      write(type, bits, {static_cast<float>(value), 0});
      return read(type, bits).f;
    };
    check(
        builder.body,
        [&](const std::vector<Element> &v) { return Element{round(v[0].f * v[1].f) + v[0].f, 0}; },
        drawFloat);
  }
}

TEST(Kernel, SeveralOutputsInPlace) {
  BodyBuilder builder;
  uint32_t a = builder.input(ElementType::F32), b = builder.input(ElementType::F32);
  builder.output(builder.op(Opcode::AddF, ElementType::F32, {a, b}));
  builder.output(builder.op(Opcode::SubF, ElementType::F32, {a, b}));
  CompiledKernel kernel =
      kernelFor(builder.body, std::vector<InnerAccess>(4, InnerAccess::Contiguous));
  std::vector<float> x(53), y(53);
  for (int i = 0; i < 53; ++i)
    x[i] = static_cast<float>(i), y[i] = static_cast<float>(100 * i);
  char *pointers[] = {reinterpret_cast<char *>(x.data()), reinterpret_cast<char *>(y.data()),
                      reinterpret_cast<char *>(y.data()), reinterpret_cast<char *>(x.data())};
  int64_t strides[8] = {};
  kernel.fn(pointers, strides, 53, 1, nullptr);
  for (int i = 0; i < 53; ++i) {
    EXPECT_EQ(y[i], 101.0f * i);
    EXPECT_EQ(x[i], -99.0f * i);
  }
}

TEST(Kernel, NoRowsAndNoElements) {
  KernelBody body = simpleBody(Opcode::AddF, ElementType::F32, ElementType::F32, 2);
  CompiledKernel kernel = kernelFor(body, {});
  float x = 1, y = 2, z = 3;
  char *pointers[] = {reinterpret_cast<char *>(&x), reinterpret_cast<char *>(&y),
                      reinterpret_cast<char *>(&z)};
  int64_t strides[6] = {};
  kernel.fn(pointers, strides, 0, 5, nullptr);
  kernel.fn(pointers, strides, 5, 0, nullptr);
  EXPECT_EQ(z, 3);
}

TEST(KernelCache, EqualKernelsAreOneFunction) {
  KernelBody body = simpleBody(Opcode::MulF, ElementType::F64, ElementType::F64, 2);
  std::vector<InnerAccess> access(3, InnerAccess::Contiguous), other = access;
  other[1] = InnerAccess::Broadcast;
  CompiledKernel first = kernelFor(body, access), second = kernelFor(body, access);
  EXPECT_EQ(first.fn, second.fn);
  EXPECT_NE(first.fn, kernelFor(body, other).fn);
  EXPECT_EQ(kernelSymbol(kernelKey(body, access)), kernelSymbol(kernelKey(body, access)));
  first.code = second.code = nullptr;
  EXPECT_EQ(findKernel(kernelKey(body, access)).fn, nullptr) << "code that nobody uses is gone";
  EXPECT_NE(kernelFor(body, access).fn, nullptr);
}

// Printed, for people; nothing is asserted of time.
TEST(Kernel, CompileLatencyOfTwentyKernels) {
  using Clock = std::chrono::steady_clock;
  kernelFor(simpleBody(Opcode::SubF, ElementType::F32, ElementType::F32, 2), {}); // starts LLVM
  auto start = Clock::now();
  std::string ir;
  auto code = compileModule([](llvm::Module &module) {
    for (int i = 0; i < 20; ++i) {
      BodyBuilder builder;
      uint32_t a = builder.input(ElementType::F32), b = builder.input(ElementType::F32);
      uint32_t value = builder.op(Opcode::AddF, ElementType::F32, {a, b});
      for (int step = 0; step < 4 + i / 2; ++step) {
        uint32_t constant = builder.constant(ElementType::F32, 0.5 + i);
        value = builder.op(Opcode::MulF, ElementType::F32, {value, constant});
        value = builder.op(step % 3 == 0 ? Opcode::MaximumF : Opcode::AddF, ElementType::F32,
                           {value, a});
      }
      value = builder.op(Opcode::Sqrt, ElementType::F32, {value});
      builder.output(value);
      lowerKernel(module, "k" + std::to_string(i), builder.body,
                  std::vector<InnerAccess>(3, InnerAccess::Contiguous), hostVectorBytes());
    }
  });
  double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  std::printf("20 kernels: %.1f ms, %zu bytes of object code\n", ms, code->codeBytes());
}
