// Memory for stored responses: blocks that don't overlap, of nearly the size asked for, given back.
#include "core/block_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "random_values.hpp"

using namespace pillion;
using namespace pillion::test;

namespace {

struct Block {
  char* at = nullptr;
  std::size_t size = 0;
  char mark = 0;
};

Block take(Random& random) {
  const std::size_t size = random.once_in(20) ? random.below(20'000) + 1 : random.below(block_pool::largest) + 1;
  Block block{static_cast<char*>(block_pool::allocate(size)), size, static_cast<char>(random.below(256))};
  std::memset(block.at, block.mark, size);
  return block;
}

bool is_whole(const Block& block) {
  return std::all_of(block.at, block.at + block.size, [&](char c) { return c == block.mark; });
}

}  // namespace

TEST_CASE("block_pool: blocks of any size are aligned, keep what is written, and none lies in another") {
  for_each_seed(20, [](Random& random) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < 5'000; ++i) {
      if (!blocks.empty() && random.once_in(3)) {
        std::swap(blocks[random.below(blocks.size())], blocks.back());
        REQUIRE(is_whole(blocks.back()));
        block_pool::free(blocks.back().at, blocks.back().size);
        blocks.pop_back();
      } else {
        blocks.push_back(take(random));
        REQUIRE(reinterpret_cast<std::uintptr_t>(blocks.back().at) % 16 == 0);
      }
    }
    std::ranges::sort(blocks, {}, &Block::at);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      REQUIRE(is_whole(blocks[i]));
      if (i > 0) REQUIRE(blocks[i - 1].at + blocks[i - 1].size <= blocks[i].at);
    }
    for (const Block& block : blocks) block_pool::free(block.at, block.size);
  });
}

TEST_CASE("block_pool: a block takes at most a sixteenth more than was asked for, and 16 bytes") {
  for (std::size_t size = 1; size <= 2 * block_pool::largest; ++size) {
    CAPTURE(size);
    REQUIRE(block_pool::taken(size) >= size);
    REQUIRE(block_pool::taken(size) <= size + size / 16 + 16 + sizeof(void*));
  }
}

TEST_CASE("block_pool: what one thread takes another may give back") {
  constexpr std::size_t count = 20'000;
  std::vector<Block> blocks[2];
  std::thread threads[2];
  for (std::size_t t = 0; t < 2; ++t) {
    threads[t] = std::thread([&own = blocks[t], t] {
      Random random(t + 1);
      for (std::size_t i = 0; i < count; ++i) own.push_back(take(random));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < 2; ++t) {
    threads[t] = std::thread([&others = blocks[1 - t]] {
      for (const Block& block : others) block_pool::free(block.at, is_whole(block) ? block.size : 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_one : blocks) CHECK(of_one.size() == count);
}
