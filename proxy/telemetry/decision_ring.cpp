#include "telemetry/decision_ring.hpp"

#include <cstdlib>
#include <new>

namespace pillion {

void DecisionRing::Free::operator()(Decision* p) const noexcept { std::free(p); }

DecisionRing::DecisionRing()
    : decisions_(static_cast<Decision*>(std::calloc(size, sizeof(Decision)))),
      trails_(std::make_unique<std::unique_ptr<Trail>[]>(size)) {
  if (!decisions_) throw std::bad_alloc();
}

Trail& DecisionRing::trail_of(Decision& decision) {
  std::unique_ptr<Trail>& trail = trails_[static_cast<std::size_t>(&decision - decisions_.get())];
  if (!trail) trail = std::make_unique<Trail>();
  decision.flags |= Decision::trailed;
  return *trail;
}

}  // namespace pillion
