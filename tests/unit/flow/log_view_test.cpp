// Invalidations that the log has not given an id yet, and the view's fence.
#include "flow/log_view.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace pillion;

namespace {

std::vector<Selector> tag(const std::string& name) { return {{Selector::Kind::tag, name}}; }

struct Unsent : UnsentInvalidations {
  bool names(const std::string& name_of_tag) const {
    const std::vector<std::uint32_t> selectors{selector_hash({Selector::Kind::tag, name_of_tag})};
    return name(selectors, "api:x");
  }
};

}  // namespace

TEST_CASE("an invalidation without an id names what it names, until it has one") {
  Unsent unsent;
  CHECK_FALSE(unsent.names("a"));
  const auto ticket = unsent.add(tag("a"));
  CHECK(unsent.names("a"));
  CHECK_FALSE(unsent.names("b"));
  unsent.done(ticket);
  CHECK_FALSE(unsent.names("a"));
}

TEST_CASE("what is still on its way stays, whichever is done first") {
  Unsent unsent;
  const auto first = unsent.add(tag("a"));
  const auto second = unsent.add(tag("b"));
  unsent.done(second);
  CHECK(unsent.names("a"));
  const auto third = unsent.add(tag("c"));
  unsent.done(first);
  CHECK_FALSE(unsent.names("a"));
  CHECK_FALSE(unsent.names("b"));
  CHECK(unsent.names("c"));
  unsent.done(third);
  CHECK_FALSE(unsent.names("c"));
}

TEST_CASE("a ticket that stays covers those after it") {
  Unsent unsent;
  const auto first = unsent.add(tag("a"));
  const auto second = unsent.add(tag("b"));
  unsent.done(second);
  CHECK(unsent.names("b"));
  unsent.done(first);
  CHECK_FALSE(unsent.names("b"));
}

TEST_CASE("the fence of a view only ever rises") {
  LogView view;
  view.note(5);
  view.note(3);
  CHECK(view.known.load() == 5);
  view.apply(tag("a"), Strength::hard, 9, 0);
  CHECK(view.known.load() == 9);
}
