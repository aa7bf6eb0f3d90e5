#include "runtime/bernoulli_draws.h"

#include "runtime/mersenne_twister.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <mutex>

namespace bifront {
namespace {

// The numbers of its engine, which counts those that are left before they are made anew, and one.
void draw(at::CPUGeneratorImpl &generator, double share, float *to, int64_t count) {
  std::lock_guard<std::mutex> lock(generator.mutex_);
  at::mt19937 engine = generator.engine();
  at::mt19937_data_pod data = engine.data();
  MersenneTwister state{data.state_.data(),
                        data.left_ == 1 ? MersenneTwister::kWords : int64_t{data.next_}};
  drawBelow(state, static_cast<uint64_t>(std::ceil(std::ldexp(share, 53))), to, count);
  data.next_ = static_cast<uint32_t>(state.next);
  data.left_ = static_cast<int>(MersenneTwister::kWords - state.next + 1);
  engine.set_data(data);
  generator.set_engine(engine);
}

// On some machines ATen draws in another library's way.
bool drawsAsAten() {
  static const bool does = [] {
    for (int64_t count : {37, 3000}) {
      at::Generator atens = at::detail::createCPUGenerator(7),
                    own = at::detail::createCPUGenerator(7);
      at::Tensor expected = at::empty({count}).bernoulli_(0.3, atens), made = at::empty({count});
      draw(*at::check_generator<at::CPUGeneratorImpl>(own), 0.3, made.data_ptr<float>(), count);
      if (!at::equal(made, expected) || !at::equal(own.get_state(), atens.get_state()))
        return false;
    }
    return true;
  }();
  return does;
}

// bernoulli_(self, p, generator)
bool bernoulli(std::vector<c10::IValue> &stack, PackedRight *) {
  constexpr int64_t kFew = 64; // fewer are not worth a copy of the generator's state
  const at::Tensor &self = stack[0].toTensor();
  double share = stack[1].toDouble();
  if (!stack[2].isNone() || !isPlainMemory(self, at::kFloat) || !liesInOrder(self) ||
      self.numel() < kFew || !(share >= 0 && share <= 1) || !drawsAsAten())
    return false;
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  draw(*at::check_generator<at::CPUGeneratorImpl>(generator), share, self.data_ptr<float>(),
       self.numel());
  giveResults(stack, at::Tensor(self));
  return true;
}

} // namespace

OwnFunction ownDraws(const std::string &schema) {
  return hasOwnVectors() ? functionNamed(schema, {{"aten::bernoulli_.float", bernoulli}}) : nullptr;
}

} // namespace bifront
