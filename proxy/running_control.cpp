#include "running_control.hpp"

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "flow/look_up.hpp"
#include "flow/redis_watch.hpp"
#include "flow/unsafe_invalidation.hpp"

namespace pillion {

namespace {

constexpr std::size_t max_examples = 10;

// The views of a request, owned: it crosses to another thread.
struct OwnedRequest {
  explicit OwnedRequest(const RequestHead& from) : head(from) {
    const auto own = [this](std::string_view view) {
      return std::string_view(*strings.emplace_back(std::make_unique<std::string>(view)));
    };
    head.method_name = own(from.method_name);
    head.target = own(from.target);
    head.path = own(from.path);
    head.query = own(from.query);
    head.host = own(from.host);
    for (const Field& field : from.fields) fields.push_back({own(field.name), own(field.value), field.id});
    head.fields = Fields(fields);
  }
  OwnedRequest(const OwnedRequest&) = delete;
  std::vector<std::unique_ptr<std::string>> strings;
  std::vector<Field> fields;
  RequestHead head;
};

class RunningStream final : public WarmStream {
 public:
  explicit RunningStream(std::shared_ptr<WarmRun> run) : run_(std::move(run)) {}
  ~RunningStream() override { run_->stop(); }
  awaitable<std::optional<WarmedUrl>> next() override { return run_->next(); }

 private:
  std::shared_ptr<WarmRun> run_;
};

}  // namespace

RunningControl::RunningControl(Shared& shared, Worker& looker, SnapshotPtr snapshot)
    : shared_(shared), looker_(looker), snapshot_(std::move(snapshot)) {}

std::string_view RunningControl::why_not_ready() const {
  switch (state_.load()) {
    case State::starting:
      return "starting";
    case State::warming:
      return "warming";
    case State::draining:
      return "draining";
    case State::ready:
      break;
  }
  return {};
}

void RunningControl::set_state(State state) {
  State now = state_.load();
  while (now != State::draining && !state_.compare_exchange_weak(now, state)) {
  }
}

std::unique_ptr<WarmStream> RunningControl::warm(std::vector<WarmTarget> targets) {
  std::shared_ptr<WarmRun> run = warmer_ ? warmer_->begin(std::move(targets)) : nullptr;
  return run ? std::make_unique<RunningStream>(std::move(run)) : nullptr;
}

MemoryStore::Figures RunningControl::memory_figures() const { return shared_.memory.figures(); }

bool RunningControl::watch_up() const { return shared_.watch && shared_.watch->is_up(); }

void RunningControl::count(const InvalidationRequest& request, InvalidationReceipt& receipt) const {
  receipt.counted = true;
  shared_.memory.for_each([&](const StoredResponsePtr& stored) {
    if (stored->is_vary_marker() || shared_.invalidations.order().is_invalidated(*stored)) return;
    const bool matches = std::any_of(request.selectors.begin(), request.selectors.end(), [&](const Selector& selector) {
      return selects(selector, stored->selectors(), stored->readable_key());
    });
    if (!matches) return;
    ++receipt.matched;
    if (request.dry_run && receipt.examples.size() < max_examples)
      receipt.examples.emplace_back(stored->readable_key());
  });
}

awaitable<InvalidationReceipt> RunningControl::invalidate(InvalidationRequest request) {
  InvalidationReceipt receipt;
  const SnapshotPtr snapshot = snapshot_.load();
  add_spellings(*snapshot->routes, snapshot->listeners, request.selectors);
  receipt.soft = request.soft;
  if (request.dry_run || request.count) count(request, receipt);
  if (request.dry_run) co_return receipt;
  const auto outcome = co_await shared_.invalidations.invalidate(std::move(request.selectors),
                                                                 request.soft ? Strength::soft : Strength::hard);
  ReplicasAt replicas = co_await shared_.invalidations.applied_by(outcome.record, request.wait);
  receipt.position = outcome.position;
  receipt.pending = outcome.pending;
  receipt.acknowledged = std::move(replicas.acknowledged);
  receipt.waiting = std::move(replicas.waiting);
  co_return receipt;
}

awaitable<ReloadOutcome> RunningControl::reload() {
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(ReloadOutcome)>(
      [this](auto handler) {
        const auto executor = asio::get_associated_executor(handler);
        auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        reloader_([executor, waiting](ReloadOutcome outcome) {
          asio::post(executor,
                     [waiting, outcome = std::move(outcome)]() mutable { std::move (*waiting)(std::move(outcome)); });
        });
      },
      asio::use_awaitable);
}

awaitable<StoredLookup> RunningControl::find_stored(const RequestHead& request, std::string_view listener) {
  auto owned = std::make_shared<OwnedRequest>(request);
  std::optional<Hash128> key;
  StoredLookup lookup = co_await asio::co_spawn(
      looker_.executor(),
      [](Worker& worker, std::shared_ptr<OwnedRequest> r, std::string name,
         std::optional<Hash128>& hash) -> awaitable<StoredLookup> {
        Plan plan;
        const SnapshotPtr snapshot = worker.context().snapshot;
        make_plan(r->head, name, false, *snapshot, worker.context().shared.search_rules, plan);
        StoredLookup result;
        if (!plan.has_key()) co_return result;
        hash = plan.hash;
        const Found found = co_await look_up(worker.context(), r->head, plan, now());
        result.response = found.response;
        result.tier = found.tier;
        co_return result;
      }(looker_, std::move(owned), std::string(listener), key),
      asio::use_awaitable);
  if (lookup.response && key) {
    InsightsAsked asked;
    asked.key = key;
    const InsightsFound found = co_await gather(shared_, std::move(asked));
    if (!found.hottest.empty()) lookup.hits = found.hottest.front().hits;
  }
  co_return lookup;
}

}  // namespace pillion
