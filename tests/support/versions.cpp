#include "support/versions.hpp"

#include <condition_variable>
#include <cstdlib>

namespace pillion::support {

namespace {

constexpr const char* names[] = {"plain", "brief", "checked", "fleet", "grouped", "varied", "marker"};

std::string name_of(int resource) {
  return resource == Versions::marker ? names[6] : names[resource % Versions::kinds];
}

int number_in(std::string_view target) {
  auto slash = target.rfind('/');
  return std::atoi(std::string(target.substr(slash + 1)).c_str());
}

}  // namespace

std::vector<int> Versions::of_group(int group) {
  std::vector<int> out;
  for (int i = group; i < resources; i += kinds) out.push_back(i);
  return out;
}

std::string Versions::path(int resource) { return "/" + name_of(resource) + "/" + std::to_string(resource); }
std::string Versions::key(int resource) { return name_of(resource) + ":" + std::to_string(resource) + ":"; }

std::string Versions::routes() {
  std::string out = "routes:\n";
  for (int i = 0; i <= kinds; ++i) {
    std::string name = names[i];
    out += "  - name: " + name + "\n    path: /" + name + "/{id}\n    key: \"" + name +
           ":{id}\"\n    ttl: 600s\n    stale: { while_revalidate: 5s, if_error: 60s }\n";
    if (name == "fleet" || name == "checked" || name == "varied") out += "    collapse: fleet\n";
    if (name != "grouped" && name != "marker") out += "    tags: [\"r:{id}\", \"" + group_tag(i) + "\"]\n";
  }
  return out;
}

Handler Versions::handler() {
  return [this](Exchange& exchange) {
    exchange.read_body();
    const std::string& target = exchange.request().target;
    int resource = number_in(target);
    exchange.request().method == "GET" ? serve(exchange, resource) : write(exchange, resource);
  };
}

int Versions::below(int n) {
  std::lock_guard lock(mutex_);
  return static_cast<int>(random_() % static_cast<unsigned>(n));
}

void Versions::linger() {
  int dice = below(20);
  if (dice > 3) return;
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, dice == 0 ? Milliseconds(below(30)) : Milliseconds(below(4)));
}

void Versions::serve(Exchange& exchange, int resource) {
  if (below(200) == 0) return exchange.respond(503, {{"X-Injected", "1"}}, "busy");
  linger();
  history::Fetch fetch;
  {
    std::lock_guard lock(mutex_);
    fetch = {resource, static_cast<long>(fetches_.size()) + 1, versions_[resource], Clock::now()};
    fetches_.push_back(fetch);
  }
  linger();
  std::string version = std::to_string(fetch.version);
  std::string tag = "\"" + std::to_string(resource) + "-" + version + "\"";
  Fields fields{{"ETag", tag}, {"X-Serial", std::to_string(fetch.serial)}};
  switch (resource == marker ? Kind::plain : kind(resource)) {
    case Kind::brief:
      fields.add("Cache-Control", "max-age=1, stale-while-revalidate=5, stale-if-error=60");
      break;
    case Kind::checked:
      fields.add("Cache-Control", "no-cache");
      break;
    case Kind::grouped:
      fields.add("Surrogate-Key", Versions::tag(resource) + " unused");
      fields.add("Cache-Tag", "unused-too," + group_tag(group(resource)));
      fields.add("Cache-Groups", "\"" + group_tag(group(resource)) + "\"");
      break;
    case Kind::varied:
      fields.add("Vary", "X-V");
      break;
    default:
      break;
  }
  if (exchange.request().fields["If-None-Match"] == tag) return exchange.respond(304, fields);
  fields.add("X-Version", version);
  std::string body = "resource " + std::to_string(resource) + " version " + version + "\n";
  // Some are long enough to be compressed, and to come in more than one piece.
  if (fetch.version % 4 == 3) body += std::string(200'000, 'x');
  exchange.respond(200, fields, body);
}

void Versions::commit(int resource) {
  std::lock_guard lock(mutex_);
  ++versions_[resource];
}

void Versions::write(Exchange& exchange, int resource) {
  const ReceivedRequest& request = exchange.request();
  std::string mode = request.fields["X-Mode"];
  if (mode == "refuse") return exchange.respond(409, {}, "no");
  linger();
  bool whole_group = request.method == "POST";
  {
    std::lock_guard lock(mutex_);
    Commit& made = commits_[std::atol(request.fields["X-Write"].c_str())];
    made.resources = whole_group ? of_group(group(resource)) : std::vector<int>{resource};
    for (int one : made.resources) ++versions_[one];
    made.at = Clock::now();
  }
  linger();
  if (mode == "reset") return exchange.reset();
  Fields fields;
  if (whole_group) fields.add("Cache-Group-Invalidation", "\"" + group_tag(group(resource)) + "\"");
  exchange.respond(200, fields, "done");
}

std::optional<Versions::Commit> Versions::committed(long write) const {
  std::lock_guard lock(mutex_);
  auto at = commits_.find(write);
  if (at == commits_.end()) return std::nullopt;
  return at->second;
}

std::vector<history::Fetch> Versions::fetches() const {
  std::lock_guard lock(mutex_);
  return fetches_;
}

}  // namespace pillion::support
