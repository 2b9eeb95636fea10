#include "net/listeners.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace pillion {

Listeners::Membership Listeners::add(boost::asio::any_io_executor executor, std::function<void()> callback) {
  auto added = std::make_shared<Listener>(Listener{std::move(executor), std::move(callback)});
  const auto drop = [state = state_](Listener* gone) {
    std::shared_ptr<Listener> destroyed_unlocked;
    const std::lock_guard lock(state->mutex);
    const auto found = std::ranges::find(state->all, gone, &std::shared_ptr<Listener>::get);
    if (found == state->all.end()) return;
    destroyed_unlocked = std::move(*found);
    state->all.erase(found);
  };
  const std::lock_guard lock(state_->mutex);
  state_->all.push_back(added);
  return std::shared_ptr<Listener>(added.get(), drop);
}

void Listeners::call_all() {
  const std::lock_guard lock(state_->mutex);
  for (const auto& listener : state_->all) {
    boost::asio::post(listener->executor, [weak = std::weak_ptr(listener)] {
      if (const auto called = weak.lock()) called->callback();
    });
  }
}

}  // namespace pillion
