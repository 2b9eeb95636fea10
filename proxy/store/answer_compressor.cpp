// The thread that compresses answers. See answer_compressor.hpp.
#include "store/answer_compressor.hpp"

#include <chrono>
#include <new>
#include <utility>

#include "core/compressible.hpp"
#include "net/low_priority.hpp"
#include "store/answer_encoder.hpp"

namespace pillion {

namespace {

// Niceness alone doesn't spare a container's CPU quota.
constexpr int rests_per_work = 3;

// What doesn't save an eighth isn't worth its memory.
constexpr std::size_t most_of(std::size_t plain) { return plain - plain / 8; }

}  // namespace

void AnswerCompressor::start() {
  std::lock_guard lock(mutex_);
  if (running_) return;
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void AnswerCompressor::stop() {
  {
    std::lock_guard lock(mutex_);
    running_ = false;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (Job& job : jobs_) job = {};
  waiting_ = 0;
}

void AnswerCompressor::ask(const StoredResponsePtr& response, const Hash128& place, Coding coding) {
  {
    std::lock_guard lock(mutex_);
    if (running_ && waiting_ < max_waiting) {
      jobs_[(first_ + waiting_++) % max_waiting] = {response, place, coding};
      changed_.notify_one();
      return;
    }
  }
  counters_.compression_postponed.add();
  response->forms().forget_wishes(coding);
}

void AnswerCompressor::run() {
  lower_own_priority();
  std::unique_lock lock(mutex_);
  while (running_) {
    if (waiting_ == 0) {
      changed_.wait(lock);
      continue;
    }
    const Job job = std::exchange(jobs_[first_], {});
    first_ = (first_ + 1) % max_waiting;
    --waiting_;
    lock.unlock();
    slice_began_ = std::chrono::steady_clock::now();
    try {
      compress(job);
    } catch (const std::bad_alloc&) {
      counters_.compression_given_up.add();
    }
    rest();
    lock.lock();
  }
}

void AnswerCompressor::compress(const Job& job) {
  const StoredResponse& response = *job.response;
  const std::string_view body = response.body();
  // Replaced or evicted while it waited: whoever asks for what stands there now is counted there.
  if (!memory_.grow(job.place, &response, 0)) return;
  const auto encoded = encode_body(job.coding, body, most_of(body.size()), [this] { return rest(); });
  if (!encoded) {
    counters_.compression_given_up.add();
    return;
  }
  EncodedForm::Ptr form = EncodedForm::make(encoded_head(response, job.coding, encoded->size()), *encoded);
  if (!form || response.forms().find(job.coding) != nullptr) return;
  if (!memory_.grow(job.place, &response, response.forms().cost_of(*form))) return;
  if (response.forms().add(job.coding, std::move(form)))
    counters_.compressed[static_cast<std::size_t>(job.coding)].add();
}

bool AnswerCompressor::rest() {
  const auto worked = std::chrono::steady_clock::now() - slice_began_;
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, worked * rests_per_work, [this] { return !running_; });
  slice_began_ = std::chrono::steady_clock::now();
  return running_;
}

}  // namespace pillion
