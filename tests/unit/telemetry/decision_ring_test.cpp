#include "telemetry/decision_ring.hpp"

#include <doctest/doctest.h>

using namespace pillion;

namespace {

void put(DecisionRing& ring, std::string_view target, std::string_view id = {}) {
  Decision& decision = ring.next();
  decision.flags = 0;
  decision.set_text(id, target);
}

}  // namespace

TEST_CASE("decision ring: the newest come first, and the oldest give way") {
  DecisionRing ring;
  for (std::size_t i = 0; i < DecisionRing::size + 10; ++i) put(ring, "/" + std::to_string(i));
  std::size_t expected = DecisionRing::size + 10;
  std::size_t seen = 0;
  ring.for_each([&](const Decision& decision, const Trail* trail) {
    --expected;
    ++seen;
    CHECK(decision.target() == "/" + std::to_string(expected));
    CHECK(trail == nullptr);
    return true;
  });
  CHECK(seen == DecisionRing::size);
}

TEST_CASE("decision ring: whoever reads it stops when enough is enough") {
  DecisionRing ring;
  for (int i = 0; i < 5; ++i) put(ring, "/");
  int seen = 0;
  ring.for_each([&](const Decision&, const Trail*) { return ++seen < 2; });
  CHECK(seen == 2);
}

TEST_CASE("decision ring: ids and targets are kept, long targets cut and said to be") {
  DecisionRing ring;
  put(ring, "/short?a=b", "id-1");
  put(ring, "/" + std::string(500, 'x'), std::string(64, 'i'));
  std::vector<std::pair<std::string, bool>> seen;
  ring.for_each([&](const Decision& d, const Trail*) {
    seen.emplace_back(std::string(d.id()) + " " + std::string(d.target()), (d.flags & Decision::target_cut) != 0);
    return true;
  });
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].first == std::string(64, 'i') + " /" + std::string(Decision::max_text - 64 - 1, 'x'));
  CHECK(seen[0].second);
  CHECK(seen[1].first == "id-1 /short?a=b");
  CHECK_FALSE(seen[1].second);
}

TEST_CASE("decision ring: a trail belongs to its decision alone, also when the place is used again") {
  DecisionRing ring;
  Decision& slow = ring.next();
  slow.flags = 0;
  slow.set_text({}, "/slow");
  ring.trail_of(slow).invalidated = "tag a";
  for (std::size_t i = 1; i < DecisionRing::size; ++i) put(ring, "/fast");
  std::size_t trails = 0;
  ring.for_each([&](const Decision&, const Trail* trail) {
    trails += trail != nullptr && trail->invalidated == "tag a" ? 1 : 0;
    return true;
  });
  CHECK(trails == 1);
  put(ring, "/in its place");
  ring.for_each([&](const Decision&, const Trail* trail) {
    CHECK(trail == nullptr);
    return true;
  });
}
