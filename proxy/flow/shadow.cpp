#include "flow/shadow.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/freshness.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/look_up.hpp"
#include "flow/observe.hpp"

namespace pillion {

bool is_same_answer(const StoredResponse& stored, unsigned status, Fields fields, std::string_view body) {
  if (stored.meta().status != status || stored.body() != body) return false;
  const std::vector<Field> own = fields_of_head(stored.head());
  for (const Name name : compared_fields) {
    const Field* was = find(Fields(own), name);
    const Field* is = find(fields, name);
    if ((was == nullptr) != (is == nullptr) || (was && was->value != is->value)) return false;
  }
  return true;
}

// Keeps what passes until it is known whether it is the same, and may be stored.
class Shadow::Tap final : public AnswerTap {
 public:
  Tap(Shadow& shadow, std::shared_ptr<FetchJob> job, const Found& found)
      : shadow_(shadow), job_(std::move(job)), found_(found), asked_(now()) {}

  void head(UpstreamConnection& connection, CacheStatus& status) override {
    const ResponseHead& response = connection.head();
    // A condition or a range of the client's was obeyed: nothing whole to compare.
    if (response.status == 304 || response.status == 206) return;
    compares_ = found_.is_fresh() || found_.answers_behind();
    if (!found_.is_fresh()) {
      bool all_tags = true;
      head_ = shadow_.judge_.judge(*job_, connection, asked_);
      head_->selectors = job_->selectors(response.fields, all_tags);
      if (!all_tags) {
        head_->storing = false;
        head_->reason = Detail::too_large;
      }
      reason_ = head_->reason;
      status.stored = head_->storing;
      if (!head_->storing) head_.reset();
    }
    largest_ = shadow_.keeper_.largest(job_->place);
    if (compares_) {
      largest_ = std::max(largest_, found_.response->body().size());
      status_ = response.status;
      fields_.copy(response.fields);
    }
    keeping_ = compares_ || head_;
  }

  void body(std::string_view data) override {
    if (!keeping_) return;
    if (body_.size() + data.size() > largest_) {
      // Too large to be stored, so it isn't what is stored either.
      keeping_ = false;
      too_large_ = true;
      head_.reset();
      body_ = {};
      return;
    }
    body_ += data;
  }

  awaitable<void> end() override {
    if (compares_) {
      const bool same = !too_large_ && is_same_answer(*found_.response, status_, Fields(fields_.fields), body_);
      compared_ = same ? Compared::same : Compared::other;
    }
    if (!head_) co_return;
    stored_ = true;
    // Whoever has read the answer to its end finds it in memory.
    co_await shadow_.store(std::move(job_), std::move(head_), std::move(body_));
  }

  Compared compared() const noexcept { return compared_; }
  bool stored() const noexcept { return stored_; }
  Detail reason() const noexcept { return too_large_ ? Detail::too_large : reason_; }

 private:
  Shadow& shadow_;
  std::shared_ptr<FetchJob> job_;
  const Found& found_;
  Now asked_;
  std::shared_ptr<FlightHead> head_;
  Detail reason_ = Detail::none;
  OwnedFields fields_;
  std::string body_;
  std::size_t largest_ = 0;
  unsigned status_ = 0;
  bool compares_ = false, keeping_ = false, stored_ = false, too_large_ = false;
  Compared compared_ = Compared::no;
};

awaitable<void> Shadow::answer(ClientSession& session, const Plan& plan, const SnapshotPtr& snapshot,
                               std::string_view request_id, Outcome& outcome) {
  const RequestHead& request = session.request();
  const Now at = now();
  const Found found = co_await look_up(context_, request, plan, at);
  if (outcome.trail) note_look_up(context_, plan, found, *outcome.trail);
  CacheStatus status;
  status.forward = Forward::bypass;
  status.detail = Detail::shadow;
  outcome.result = Result::shadow;
  outcome.detail = Detail::shadow;
  const bool is_get = request.method == Method::get && !plan.facts.has_range;
  std::optional<Tap> tap;
  // The fence is taken here, before the upstream is asked.
  if (is_get)
    tap.emplace(*this, shared_fetch_.make_job(request, session.origin(), plan, found, snapshot, request_id), found);
  const Found nothing{};  // what is stored isn't updated by what passes, nor does it serve in place of an error
  co_await forwarder_.forward(session, plan, nothing, snapshot, request_id, status, outcome, tap ? &*tap : nullptr);
  if (!tap) co_return;
  Compared compared = tap->compared();
  // It may have been invalidated while the upstream was asked: a cache would have answered before.
  if (compared != Compared::no && context_.shared.invalidations.order().standing(*found.response).is_touched())
    compared = Compared::no;
  const RouteCounters& counters = context_.route_counters(*snapshot, *plan.route);
  if (compared != Compared::no) {
    if (RouteInsight* route = context_.insights.of(&counters))
      route->shadow_ages.note(current_age_ms(found.response->meta(), at), compared == Compared::same);
  }
  outcome.compared = compared;
  outcome.stored = tap->stored();
  if (!outcome.stored && outcome.trail && !found.is_fresh()) {
    outcome.trail->why = tap->reason();
  }
}

// As a fetch for all would (flow/fetcher.cpp), but that nobody joins it.
awaitable<void> Shadow::store(std::shared_ptr<FetchJob> job, std::shared_ptr<FlightHead> head, std::string body) {
  context_.shared.search_rules.learn(hash128(job->path_key), head->search_rule);
  job->use_rule(head->search_rule);
  Kept kept = judge_.pack(*job, *head, body);
  if (kept.response) observe_fetch(context_, *job, *kept.response, now());
  co_await keeper_.drop_overtaken(job->place, kept);
  keeper_.put(job->place, kept);
  // The client's next request doesn't wait for Redis.
  asio::co_spawn(
      context_.executor,
      [](WorkerContext& context, std::shared_ptr<FetchJob> j, Kept k) -> awaitable<void> {
        Keeper keeper(context);
        co_await keeper.put_in_redis(j->place, k);
      }(context_, std::move(job), std::move(kept)),
      asio::detached);
}

}  // namespace pillion
