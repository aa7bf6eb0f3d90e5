#include "runtime/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace bifront {
namespace {

class ParallelTest : public testing::Test {
protected:
  void SetUp() override { at::set_num_threads(3); }
  void TearDown() override { at::set_num_threads(before); }

  const int before = at::get_num_threads();
};

struct Parts {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<int> seen;

  explicit Parts(int64_t count) : seen(static_cast<size_t>(count)) {}
  void operator()(int64_t begin, int64_t end) {
    std::scoped_lock lock(mutex);
    threads.insert(std::this_thread::get_id());
    for (int64_t i = begin; i < end; ++i)
      ++seen[static_cast<size_t>(i)];
  }
};

TEST_F(ParallelTest, EachIsDoneOnce) {
  for (int64_t count : {0, 1, 2, 3, 4, 5, 7, 31, 32, 100})
    for (int64_t grain : {0, 1, 2, 5, 50}) {
      Parts parts(count);
      parallelFor(count, grain, parts);
      EXPECT_EQ(parts.seen, std::vector<int>(static_cast<size_t>(count), 1)) << count << grain;
    }
}

TEST_F(ParallelTest, ByAtensThreads) {
  Parts parts(30);
  parallelFor(30, 10, parts);
  EXPECT_EQ(parts.threads.size(), 3U);
}

TEST_F(ParallelTest, LittleIsDoneByOne) {
  Parts parts(30);
  parallelFor(30, 16, parts);
  EXPECT_EQ(parts.threads, std::set{std::this_thread::get_id()});
}

TEST_F(ParallelTest, AsManyThreadsAsAtenIsSetTo) {
  at::set_num_threads(1);
  Parts parts(30);
  parallelFor(30, 1, parts);
  EXPECT_EQ(parts.threads, std::set{std::this_thread::get_id()});
}

TEST_F(ParallelTest, WithinAnotherByOne) {
  Parts parts(30);
  std::mutex mutex;
  bool isBySame = true;
  parallelFor(3, 1, [&](int64_t begin, int64_t) {
    Parts inner(10);
    parallelFor(10, 1, inner);
    std::scoped_lock lock(mutex);
    isBySame &= inner.threads == std::set{std::this_thread::get_id()};
    parts(begin * 10, begin * 10 + 10);
  });
  EXPECT_TRUE(isBySame);
  EXPECT_EQ(parts.seen, std::vector<int>(30, 1));
}

TEST_F(ParallelTest, WhatOneThrows) {
  auto fail = [](int64_t begin, int64_t) {
    if (begin > 0)
      throw std::runtime_error("a part");
  };
  EXPECT_THROW(parallelFor(3, 1, fail), std::runtime_error);
}

} // namespace
} // namespace bifront
