// pillion demo: a small application, the proxy before it, a handful of requests, and what happened to each and why.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "cli/commands.hpp"
#include "cli/demo_app.hpp"
#include "cli/http_client.hpp"
#include "ops/version.hpp"
#include "server.hpp"

namespace pillion::cli {
namespace {

constexpr std::string_view demo_routes = R"(
routes:
  - name: character
    path: /api/characters/{character_id}
    ttl: 5m
    key: "character:{character_id}"
    tags: ["character:{character_id}", characters]
    invalidate:
      - methods: [PUT, PATCH, DELETE]
        tags: ["character:{character_id}"]
  - name: status
    path: /api/status
    ttl: 1m
  - name: samplers                  # what the application asks of ComfyUI, through a listener of its own
    listener: egress
    path: /comfyui/samplers
    upstream: comfyui
    rewrite: /object_info/KSampler
    ttl: 1m
    stale: { if_error: 10m }
)";

config::Loaded demo_config(const config::Address& app, const config::Address& comfyui) {
  const std::string yaml =
      "listeners: [ { address: 127.0.0.1:0 }, { name: egress, address: 127.0.0.1:0 } ]\n"
      "admin: { address: 127.0.0.1:0 }\n" +
      std::string("upstreams:\n  app: http://") + app.to_string() + "\n  comfyui: { url: http://" +
      comfyui.to_string() +
      ", host: upstream }\nstore: { memory: { size: 16MiB } }\nlog: { level: warn, access: off }\n" +
      "drain: { delay: 0s }\nquery_cache: { address: 127.0.0.1:0 }\nttl: { character: 5m }" + std::string(demo_routes);
  return config::load_text(
      yaml, [](const std::string&) { return std::optional<std::string>(); }, config::read_small_file);
}

/// Puts --listen in place of the default. False after saying what is wrong with it.
bool listen_at(const std::string& listen, config::Config& config) {
  if (listen.empty()) return true;
  const config::Loaded asked = config::default_config("http://127.0.0.1:80", listen);
  for (const config::Problem& problem : asked.problems) say_error(problem.message);
  if (asked.config) config.listeners.front() = asked.config->listeners.front();
  return asked.config.has_value();
}

/// What curl takes to reach an address.
std::string curl_base(const config::Address& address) {
  if (address.is_unix()) return "--unix-socket " + address.unix_path + " http://localhost";
  return "http://" + address.to_string();
}

/// In words what a Cache-Status says.
std::string why(const std::string& method, const HttpAnswer& answer) {
  const std::string status = answer.header("Cache-Status");
  const auto has = [&status](std::string_view part) { return status.find(part) != std::string::npos; };
  if (has("collapsed")) return "Another request for the same was under way: this one waited and shared its answer.";
  if (has("; hit") && answer.status == 304) return "The client has the current version already: no body was sent.";
  if (has("; hit")) return "Answered from memory; the application was not asked.";
  if (has("fwd=method")) return "Passed through: " + method + " is never stored, and its success invalidates.";
  if (has("fwd=bypass")) return "Passed through: this was not looked up.";
  if (has("fwd=stale")) return "What was stored is not fresh any more: the application was asked.";
  if (has("fwd=") && has("stored")) return "Nothing usable was stored: fetched from the application, and stored.";
  if (has("fwd=")) return "Fetched from the application, and not stored.";
  return "The proxy says nothing about it.";
}

class Tour {
 public:
  Tour(const config::Address& proxy, const config::Address& egress, const config::Address& admin)
      : proxy_(proxy), egress_(egress), admin_(admin) {}

  void ask(const std::string& method, const std::string& target,
           std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpRequest request{method, target, std::move(headers), method == "PUT" ? R"({"name":"changed"})" : "", limit};
    const auto begun = std::chrono::steady_clock::now();
    const HttpAnswer answer = fetch(proxy_, request);
    const std::string condition = request.headers.empty() ? "" : " with " + request.headers.front().first;
    print(method + " " + target + condition, answer, std::chrono::steady_clock::now() - begun, why(method, answer));
    etag_ = answer.header("ETag");
  }

  /// As the application itself calls an API.
  void call(const std::string& target) {
    const auto begun = std::chrono::steady_clock::now();
    const HttpAnswer answer = fetch(egress_, {"GET", target, {}, "", limit});
    std::string text = why("GET", answer);
    if (const auto at = text.find("the application"); at != std::string::npos) text.replace(at, 15, "ComfyUI");
    print("GET " + target + " (egress: the application asks ComfyUI)", answer, std::chrono::steady_clock::now() - begun,
          text);
  }

  void ask_at_once(std::size_t n, const std::string& target, const DemoApp& app) {
    const std::uint64_t before = app.requests();
    std::vector<HttpAnswer> answers(n);
    std::vector<std::thread> threads;
    const auto begun = std::chrono::steady_clock::now();
    for (HttpAnswer& answer : answers)
      threads.emplace_back([&] { answer = fetch(proxy_, {"GET", target, {}, "", limit}); });
    for (std::thread& thread : threads) thread.join();
    const auto time = std::chrono::steady_clock::now() - begun;
    const auto good =
        std::count_if(answers.begin(), answers.end(), [](const HttpAnswer& a) { return a.status == 200; });
    const auto failed =
        std::find_if(answers.begin(), answers.end(), [](const HttpAnswer& a) { return a.status != 200; });
    print(std::to_string(n) + " times at once: GET " + target, failed == answers.end() ? answers.back() : *failed, time,
          std::to_string(good) + " got their answer, the application was asked " +
              std::to_string(app.requests() - before) + " time(s).");
  }

  void invalidate(const std::string& tag) {
    const auto begun = std::chrono::steady_clock::now();
    const HttpAnswer answer = fetch(
        admin_, {"POST", "/invalidate", {{"Content-Type", "application/json"}}, "{\"tags\":[\"" + tag + "\"]}", limit});
    print("POST /invalidate (admin), tag " + tag, answer, std::chrono::steady_clock::now() - begun,
          "Receipt: " + answer.body.substr(0, answer.body.find('\n')));
  }

  const std::string& etag() const { return etag_; }
  bool failed() const { return failed_; }

 private:
  static constexpr std::chrono::milliseconds limit{10000};

  void print(const std::string& title, const HttpAnswer& answer, std::chrono::nanoseconds time,
             const std::string& text) {
    std::cout << title << '\n';
    if (answer.status == 0) {
      std::cout << "  no answer: " << answer.error << "\n" << std::endl;
      failed_ = true;
      return;
    }
    char milliseconds[32];
    std::snprintf(milliseconds, sizeof milliseconds, "%.1f", static_cast<double>(time.count()) / 1e6);
    std::cout << "  " << answer.status << " in " << milliseconds << " ms";
    if (const std::string status = answer.header("Cache-Status"); !status.empty())
      std::cout << "   Cache-Status: " << status;
    std::cout << "\n  " << text << "\n" << std::endl;
    failed_ = failed_ || answer.status >= 400;
  }

  config::Address proxy_, egress_, admin_;
  std::string etag_;
  bool failed_ = false;
};

bool make_requests(const config::Address& proxy, const config::Address& egress, const config::Address& admin,
                   const DemoApp& app) {
  Tour tour(proxy, egress, admin);
  tour.ask("GET", "/api/characters/char_123");
  tour.ask("GET", "/api/characters/char_123");
  tour.ask("GET", "/api/characters/char_123", {{"If-None-Match", tour.etag()}});
  tour.ask("GET", "/api/characters/char_7");
  tour.ask("PUT", "/api/characters/char_123");
  tour.ask("GET", "/api/characters/char_123");
  tour.ask("GET", "/api/characters/char_7");
  tour.ask_at_once(5, "/api/characters/char_9", app);
  tour.ask("GET", "/api/status");
  tour.invalidate("characters");
  tour.ask("GET", "/api/characters/char_7");
  tour.call("/comfyui/samplers");
  tour.call("/comfyui/samplers");
  return !tour.failed();
}

void print_hints(const std::string& proxy, const std::string& egress, const std::string& admin,
                 const std::string& queries) {
  std::cout << "Try it yourself, until Ctrl-C ends it:\n"
            << "  curl -i " << proxy << "/api/characters/char_123\n"
            << "  curl -i -X PUT -d '{}' " << proxy << "/api/characters/char_123\n"
            << "  curl -i " << egress << "/comfyui/samplers\n"
            << "  curl -s '" << admin << "/explain?url=/api/characters/char_123'\n"
            << "  curl -i " << queries
            << "/query/character/char_123      # a lease to load what the application caches itself\n"
            << "  curl -i -X PUT -d Ann " << queries << "/query/character/char_123\n"
            << "  curl -s " << admin << "/stats\n"
            << "  curl -s " << admin << "/metrics\n"
            << "  pillion invalidate --admin " << admin << " --tag characters" << std::endl;
}

}  // namespace

int demo(const DemoFlags& flags) {
  const DemoApp app, comfyui;
  config::Loaded loaded = demo_config(app.address(), comfyui.address());
  if (!say_problems("demo", loaded) || !listen_at(flags.listen, *loaded.config)) return 2;
  ServeOptions options;
  options.config = std::move(loaded.config);
  Server server(std::move(options));
  server.start();
  const config::Address proxy_address = server.addresses().at(0), egress_address = server.addresses().at(1);
  const std::string proxy = curl_base(proxy_address), egress = curl_base(egress_address);
  const std::string admin = curl_base(server.admin_address());
  const std::string queries = curl_base(server.addresses().back());
  std::cout << "pillion " << version() << " demo\n  application  http://" << app.address().to_string()
            << "   each character takes it 100 ms\n  ComfyUI      http://" << comfyui.address().to_string()
            << "   a list takes it 300 ms\n  proxy        " << proxy << "\n  egress       " << egress
            << "\n  admin        " << admin << "\n  query cache  " << queries << "\n"
            << demo_routes << std::endl;
  if (!make_requests(proxy_address, egress_address, server.admin_address(), app)) {
    if (server.is_ending()) return server.wait();  // interrupted before the tour was over
    say_error("a request of the demo went wrong, see above");
    server.stop();
    server.wait();
    return 1;
  }
  print_hints(proxy, egress, admin, queries);
  return server.wait();
}

}  // namespace pillion::cli
