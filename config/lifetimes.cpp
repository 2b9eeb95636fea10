// ttl and ttl_by_status of a route: a duration, or a name from the section ttl:.
#include "config/route_draft.hpp"

namespace pillion::config {

namespace {

/// A duration, or a name from ttl:. False where it is neither; `into` is set then, too: a lifetime was given, though a
/// wrong one, and nothing further is to be said about its absence.
bool read_lifetime(Context& context, const Node& node, const std::map<std::string, Milliseconds>& known,
                   std::optional<Milliseconds>& into) {
  const std::string* text = scalar(context, node, "a lifetime");
  into = Milliseconds{0};
  if (text == nullptr) return false;
  if (const auto named = known.find(*text); named != known.end()) {
    into = named->second;
    return true;
  }
  auto parsed = parse_duration(*text);
  if (parsed.value) {
    into = *parsed.value;
    return true;
  }
  const bool a_name = parse_name(*text).value && (text->front() < '0' || text->front() > '9') && text->front() != '-';
  if (!a_name) {
    context.error(node.at, parsed.wrong + ", or a name from ttl:");
    return false;
  }
  std::vector<std::string_view> names;
  for (const auto& [name, value] : known) names.push_back(name);
  const std::string hint = names.empty() ? "add it there, or write a duration such as 5m"
                                         : "did you mean " + quoted(nearest(*text, names)) + "?";
  context.error(node.at, "there is no " + quoted(*text) + " in ttl: " + hint);
  return false;
}

}  // namespace

void read_route_ttl(Context& context, const Node& node, RouteDraft& draft) {
  if (read_lifetime(context, node, *draft.lifetimes, draft.route.ttl) && draft.route.ttl->count() == 0) {
    context.warn(node.at, "with a ttl of 0s a response is stale at once and asked for anew each time");
  }
}

void read_ttl_by_status(Context& context, const Node& node, RouteDraft& draft) {
  draft.route.ttl_by_status.clear();
  if (!expect(context, node, Node::Kind::map, "ttl_by_status")) return;
  for (const Node::Entry& entry : node.entries) {
    const auto status = parse_number(entry.key, 200, 599);
    std::optional<Milliseconds> value;
    read_lifetime(context, entry.value, *draft.lifetimes, value);
    if (!status.value) {
      context.error(entry.key_at, quoted(entry.key) + " is not a status from 200 to 599");
    } else if (*status.value == 206 || *status.value == 304 || *status.value == 429 || *status.value == 431) {
      context.error(entry.key_at, "responses of status " + entry.key + " are never stored: leave it out");
    } else if (value) {
      draft.route.ttl_by_status[static_cast<int>(*status.value)] = *value;
    }
  }
}

}  // namespace pillion::config
