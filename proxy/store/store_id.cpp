// Names for values in Redis: nobody has to keep count, and replicas needn't know of each other.
#include "store/store_id.hpp"

#include <array>
#include <random>

namespace pillion {
namespace {

std::mt19937_64 seeded() {
  std::random_device device;
  std::array<std::random_device::result_type, 8> words{};
  for (auto& word : words) word = device();
  std::seed_seq sequence(words.begin(), words.end());
  return std::mt19937_64(sequence);
}

}  // namespace

std::uint64_t new_store_id() {
  thread_local std::mt19937_64 random = seeded();
  std::uint64_t id = 0;
  while (id == 0) id = random();
  return id;
}

}  // namespace pillion
