// How long a route keeps what it stores: ttl and ttl_by_status (a duration, or a name from the section ttl:), refresh
// and adaptive.
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

/// A share of a lifetime: more than half of it would be no end of it any more.
void read_share(Context& context, const Node& node, double& into) {
  constexpr double most = 0.5;
  double share = 0;
  if (!read_value(context, node, share, parse_percentage)) return;
  if (share > most) {
    context.error(node.at, "this is a share of each lifetime, at its end: 50% at most");
    return;
  }
  into = share;
}

constexpr Key<Refresh> refresh_keys[] = {
    {"ahead", [](Context& c, const Node& n, Refresh& r) { read_share(c, n, r.ahead); }},
    {"jitter", [](Context& c, const Node& n, Refresh& r) { read_share(c, n, r.jitter); }},
};

void read_bound(Context& context, const Node& node, Milliseconds& into) {
  read_duration(context, node, into);
  if (into >= Milliseconds{1000} || node.broken) return;
  if (node.kind == Node::Kind::scalar && parse_duration(node.text).value)
    context.error(node.at, "a lifetime that is learned is 1s at least");
  into = Milliseconds{1000};
}

constexpr Key<Adaptive> adaptive_keys[] = {
    {"min", [](Context& c, const Node& n, Adaptive& a) { read_bound(c, n, a.min); }},
    {"max", [](Context& c, const Node& n, Adaptive& a) { read_bound(c, n, a.max); }},
};

bool is_off(const Node& node) {
  return node.kind == Node::Kind::scalar && (node.text == "off" || node.text == "false");
}

}  // namespace

void read_refresh(Context& context, const Node& node, RouteDraft& draft) {
  draft.route.refresh = {};
  if (is_off(node)) return;
  read_map(context, node, "refresh", refresh_keys, draft.route.refresh);
  if (node.kind == Node::Kind::map && node.entries.empty())
    context.error(node.at, "nothing is asked for here: write { ahead: 10%, jitter: 5% }, or off");
}

void read_adaptive(Context& context, const Node& node, RouteDraft& draft) {
  Adaptive& adaptive = draft.route.adaptive = {};
  if (is_off(node)) return;
  read_map(context, node, "adaptive", adaptive_keys, adaptive);
  if (node.kind != Node::Kind::map) return;
  const Node *min = node.find("min"), *max = node.find("max");
  if (min == nullptr || max == nullptr) {
    context.error(node.at, "both bounds are needed: { min: 30s, max: 1h }, or off");
    adaptive = {};
  } else if (adaptive.min > adaptive.max) {
    context.error(max->at, "max is less than min");
    adaptive.max = adaptive.min;
  }
}

void append_lifetime_keys(std::vector<KeyList>& lists, const std::string& section) {
  lists.push_back(list_keys(section + ".refresh", refresh_keys));
  lists.push_back(list_keys(section + ".adaptive", adaptive_keys));
}

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
