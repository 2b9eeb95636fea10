// Runs of 128 KiB, each cut into blocks of one size; eight runs are had from operator new at once, and given back when
// none of them is in use. Of a run only what was ever given out is touched.
#include "core/block_pool.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PILLION_BLOCKS_FROM_NEW
#endif
#endif

namespace pillion::block_pool {
namespace {

constexpr std::size_t step = 16;
constexpr std::size_t run_size = 128u << 10, run_head = 64, runs_per_chunk = 8;
constexpr std::size_t fewest_per_run = (run_size - run_head) / largest;  // a run's end that is no block: under 2 %

/// The sizes that blocks have: those of which a whole number fills a run. Up to 1.4 KiB every multiple of 16, then ever
/// farther apart, at most by a 32nd.
struct Sizes {
  static constexpr std::size_t none = largest / step + 1;
  std::array<std::uint16_t, none> of_class{};
  std::array<std::uint8_t, none> class_of{};  // of a size in steps, rounded up
  std::size_t count = 0;

  constexpr Sizes() {
    for (std::size_t each = run_size; each >= fewest_per_run; --each) {  // blocks in a run
      const std::size_t size = (run_size - run_head) / each / step * step;
      if (size == 0 || size > largest || (count > 0 && of_class[count - 1] == size)) continue;
      of_class[count++] = static_cast<std::uint16_t>(size);
    }
    std::size_t at = 0;
    for (std::size_t steps = 0; steps < none; ++steps) {
      while (of_class[at] < steps * step) ++at;
      class_of[steps] = static_cast<std::uint8_t>(at);
    }
  }
};
constexpr Sizes sizes;
static_assert(sizes.of_class[sizes.count - 1] == largest && sizes.count <= 256);

std::size_t class_of(std::size_t size) { return sizes.class_of[(size + step - 1) / step]; }

struct Chunk {
  char* memory = nullptr;
  std::size_t runs_in_use = 0;
};

struct Run;
struct Link {
  Link *before = this, *after = this;
  void insert(Link& other) {  // before all others
    other.before = this;
    other.after = after;
    after->before = &other;
    after = &other;
  }
  void remove() {
    before->after = after;
    after->before = before;
    before = after = this;
  }
  bool alone() const { return after == this; }
};

/// Stands at the beginning of its run.
struct Run : Link {
  Chunk* chunk = nullptr;
  void* free = nullptr;                 // blocks given back, each with the address of the next
  std::uint32_t used = 0, touched = 0;  // blocks; those past `touched` were never given out
  std::uint32_t room = 0;
  std::uint32_t size_class = 0;
};
static_assert(sizeof(Run) <= run_head);

class Pool {
 public:
  void* allocate(std::size_t size_class) {
    std::lock_guard guard(mutex_);
    Link& partly_used = partly_used_[size_class];
    if (partly_used.alone()) partly_used.insert(begin_run(size_class));
    Run& run = static_cast<Run&>(*partly_used.after);
    void* block = run.free;
    if (block != nullptr) {
      run.free = *static_cast<void**>(block);
    } else {
      block = reinterpret_cast<char*>(&run) + run_head + std::size_t{run.touched++} * sizes.of_class[size_class];
    }
    if (++run.used == run.room) run.remove();
    return block;
  }

  void free(void* block) noexcept {
    auto& run = *reinterpret_cast<Run*>(reinterpret_cast<std::uintptr_t>(block) & ~(run_size - 1));
    std::lock_guard guard(mutex_);
    *static_cast<void**>(block) = run.free;
    run.free = block;
    if (run.used-- == run.room) partly_used_[run.size_class].insert(run);
    if (run.used == 0) end_run(run);
  }

 private:
  Run& begin_run(std::size_t size_class) {
    if (unused_.alone()) add_chunk();
    Run& run = static_cast<Run&>(*unused_.after);
    run.remove();
    ++run.chunk->runs_in_use;
    run.free = nullptr;
    run.used = run.touched = 0;
    run.room = static_cast<std::uint32_t>((run_size - run_head) / sizes.of_class[size_class]);
    run.size_class = static_cast<std::uint32_t>(size_class);
    return run;
  }

  void end_run(Run& run) noexcept {
    run.remove();
    unused_.insert(run);
    Chunk* chunk = run.chunk;
    if (--chunk->runs_in_use > 0) return;
    for (std::size_t i = 0; i < runs_per_chunk; ++i) reinterpret_cast<Run*>(chunk->memory + i * run_size)->remove();
    ::operator delete(chunk->memory, std::align_val_t(run_size));
    delete chunk;
  }

  void add_chunk() {
    auto* chunk = new Chunk;
    chunk->memory =
        static_cast<char*>(::operator new(runs_per_chunk * run_size, std::align_val_t(run_size), std::nothrow));
    if (chunk->memory == nullptr) {
      delete chunk;
      throw std::bad_alloc();
    }
    for (std::size_t i = runs_per_chunk; i-- > 0;) {
      Run* run = new (chunk->memory + i * run_size) Run;
      run->chunk = chunk;
      unused_.insert(*run);
    }
  }

  std::mutex mutex_;
  std::array<Link, sizes.count> partly_used_;
  Link unused_;
};

Pool& pool() {
  static Pool& pool = *new Pool;  // never destroyed: who ends last may still hold a response
  return pool;
}

}  // namespace

#ifdef PILLION_BLOCKS_FROM_NEW  // so that the sanitizer sees each block by itself
void* allocate(std::size_t size) { return ::operator new(size); }
void free(void* block, std::size_t) noexcept { ::operator delete(block); }
#else
void* allocate(std::size_t size) { return size > largest ? ::operator new(size) : pool().allocate(class_of(size)); }
void free(void* block, std::size_t size) noexcept { size > largest ? ::operator delete(block) : pool().free(block); }
#endif

std::size_t taken(std::size_t size) noexcept {
  // What malloc takes: a header word, rounded up to 16 bytes (glibc, 64 bits).
  if (size > largest) return (size + sizeof(std::size_t) + 15) & ~std::size_t{15};
  return sizes.of_class[class_of(size)];
}

}  // namespace pillion::block_pool
