// Real applications through the proxy with caching on: Debian's nginx serving a tree, and a Prometheus server.
#include <csignal>
#include <filesystem>

#include "integration.hpp"
#include "support/unhurried.hpp"

namespace {

namespace fs = std::filesystem;

std::string cached_for_a_minute(const Endpoint& upstream, std::string_view more = {}) {
  return config_for(upstream, "routes:\n  - name: all\n    path: /**\n    ttl: 60s\n" + std::string(more));
}

/// nginx on a Unix socket's worth of settings: a free port, one folder, nothing shared with a system's own.
class Nginx {
 public:
  Nginx() {
    make_tree();
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      folder_.write("nginx.conf", settings());
      ProcessOptions options;
      options.arguments = {"nginx", "-p", folder_.path().string(), "-c", folder_ / "nginx.conf", "-e", "stderr"};
      process_ = std::make_unique<Process>(options);
      bool up = eventually([&] { return !process_->running() || answers(); });
      if (up && process_->running()) return;
    }
    throw std::runtime_error("nginx did not start: " + process_->err());
  }
  Endpoint endpoint() const { return {"127.0.0.1", port_, {}}; }
  const std::map<std::string, std::string>& files() const { return files_; }

 private:
  bool answers() const {
    try {
      return fetch(endpoint(), "GET", "/").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  }
  void make_tree() {
    for (int d = 0; d < 5; ++d) {
      for (int f = 0; f < 8; ++f) {
        std::string name = "dir " + std::to_string(d) + "/file-" + std::to_string(f) + (f % 2 == 0 ? ".html" : ".bin");
        std::string body;
        for (std::size_t i = 0, n = static_cast<std::size_t>(f) * 9000; i < n; ++i)
          body += static_cast<char>(i * 13 + static_cast<std::size_t>(d));
        folder_.write("root/" + name, body);
        files_["/dir%20" + std::to_string(d) + "/" + name.substr(6)] = body;
      }
    }
    std::string large(3u << 20, 'L');
    folder_.write("root/large.txt", large);
    files_["/large.txt"] = large;
  }
  std::string settings() const {
    std::string folder = folder_.path().string();
    return "daemon off;\nmaster_process off;\nworker_processes 1;\npid " + folder +
           "/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n" +
           "  access_log off;\n  types { text/html html; text/plain txt; }\n  default_type "
           "application/octet-stream;\n" +
           "  client_body_temp_path " + folder + "/body;\n  proxy_temp_path " + folder +
           "/proxy;\n  fastcgi_temp_path " + folder + "/fastcgi;\n  uwsgi_temp_path " + folder +
           "/uwsgi;\n  scgi_temp_path " + folder +
           "/scgi;\n  gzip on;\n  gzip_vary on;\n  gzip_proxied any;\n  gzip_types *;\n" +
           "  server {\n    listen 127.0.0.1:" + std::to_string(port_) + ";\n    root " + folder +
           "/root;\n    autoindex on;\n  }\n}\n";
  }

  TempDir folder_;
  std::uint16_t port_ = 0;
  std::map<std::string, std::string> files_;
  std::unique_ptr<Process> process_;
};

class Prometheus {
 public:
  explicit Prometheus(const Endpoint& scraped) {
    folder_.write("prometheus.yml",
                  "global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: pillion\n    static_configs:\n      "
                  "- targets: ['" +
                      scraped.to_string() + "']\n");
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      ProcessOptions options;
      options.arguments = {
          "prometheus", "--config.file=" + (folder_ / "prometheus.yml"), "--storage.tsdb.path=" + (folder_ / "data"),
          "--web.listen-address=127.0.0.1:" + std::to_string(port_), "--web.console.templates=/nonexistent"};
      process_ = std::make_unique<Process>(options);
      try {
        process_->wait_for_err_line("Server is ready to receive web requests", Deadline(30s));
        return;
      } catch (const std::runtime_error&) {
      }
    }
    throw std::runtime_error("prometheus did not start: " + process_->err());
  }
  Endpoint endpoint() const { return {"127.0.0.1", port_, {}}; }

 private:
  TempDir folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace

TEST_CASE(
    "real applications: nginx serves a tree through the proxy, each file byte for byte, the second time from memory") {
  Nginx nginx;
  Pillion proxy(cached_for_a_minute(nginx.endpoint()));
  HttpClient client = proxy.connect();
  for (int round = 0; round < 2; ++round) {
    for (const auto& [target, body] : nginx.files()) {
      CAPTURE(target);
      CAPTURE(round);
      Response response = client.get(target);
      CHECK(response.status == 200);
      CHECK((response.body == body));
      CHECK(cache_status(response).hit == (round == 1 && body.size() < 1u << 20));
    }
  }
}

TEST_CASE("real applications: nginx's listings, errors, conditions, ranges and compressed variants") {
  Nginx nginx;
  Pillion proxy(cached_for_a_minute(nginx.endpoint()));
  HttpClient client = proxy.connect();
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    CHECK(client.get("/dir%200/").body.find("file-1.bin") != std::string::npos);
    CHECK(client.get("/dir%200").status == 301);
    CHECK(client.get("/missing").status == 404);
    Response plain = client.get("/dir%201/file-4.html");
    CHECK((plain.body == nginx.files().at("/dir%201/file-4.html")));
    Response zipped = client.get("/dir%201/file-4.html", {{"Accept-Encoding", "gzip"}});
    CHECK(zipped["Content-Encoding"] == "gzip");
    CHECK(zipped.body.size() < plain.body.size());
    Response unchanged = client.get("/dir%201/file-4.html", {{"If-None-Match", plain["ETag"]}});
    CHECK(unchanged.status == 304);
    CHECK(client.get("/dir%201/file-4.html", {{"If-Modified-Since", plain["Last-Modified"]}}).status == 304);
    Response part = client.get("/dir%201/file-3.bin", {{"Range", "bytes=10-19"}});
    std::string whole = nginx.files().at("/dir%201/file-3.bin");
    CHECK(((part.status == 206 && part.body == whole.substr(10, 10)) || (part.status == 200 && part.body == whole)));
    Response head = client.request("HEAD", "/large.txt");
    CHECK(head["Content-Length"] == std::to_string(3u << 20));
  }
}

TEST_CASE("real applications: a tree of nginx asked for by many clients at once, with Redis as second tier") {
  Nginx nginx;
  RedisServer redis;
  Pillion proxy(cached_for_a_minute(nginx.endpoint(), "store:\n  redis:\n    url: " + redis.url() + "\n" + unhurried));
  std::vector<std::pair<std::string, std::string>> files(nginx.files().begin(), nginx.files().end());
  std::atomic<int> wrong{0};
  auto round = [&] {
    in_parallel(8, [&](int worker) {
      HttpClient client(proxy.client());
      for (std::size_t i = 0; i < 200; ++i) {
        const auto& [target, body] = files[(i * 7 + static_cast<std::size_t>(worker)) % files.size()];
        if (client.get(target).body != body) ++wrong;
      }
    });
  };
  round();
  proxy.restart();
  round();
  CHECK(wrong == 0);
}

TEST_CASE("real applications: a Prometheus server works through the proxy, and scrapes it") {
  ScriptedUpstream unused;
  Pillion scraped(caching_config(unused.endpoint(), nullptr, "metrics:\n  address: 127.0.0.1:0\n"));
  Prometheus prometheus(scraped.metrics());
  Pillion proxy(
      config_for(prometheus.endpoint(),
                 "routes:\n  - name: ready\n    path: /-/*\n    cache: off\n  - name: api\n    path: /api/v1/**\n"
                 "    cache: off\n  - name: pages\n    path: /**\n    ttl: 60s\n"));
  CHECK(proxy.get("/-/ready").status == 200);
  Response page = proxy.get("/classic/graph");
  if (page.status != 200) page = proxy.get("/graph");
  CHECK(page.status == 200);
  CHECK(page["Content-Type"].starts_with("text/html"));
  CHECK(page.body.find("Prometheus") != std::string::npos);
  // What the page needs comes too, and then from memory.
  Response style = proxy.get("/classic/static/css/prometheus.css");
  CHECK(style.status == 200);
  CHECK((proxy.get("/classic/static/css/prometheus.css").body == style.body));
  auto result = [&](const std::string& query) {
    Json json = Json::parse(proxy.get("/api/v1/query?query=" + query).body);
    CHECK(json["status"].string == "success");
    return json["data"]["result"];
  };
  CHECK(eventually(
      [&] {
        Json up = result("up");
        return !up.array.empty() && up.array[0]["value"].array.at(1).string == "1";
      },
      Deadline(30s)));
  CHECK_FALSE(result("pillion_build_info").array.empty());
  Response posted =
      proxy.request("POST", "/api/v1/query", {{"Content-Type", "application/x-www-form-urlencoded"}}, "query=up");
  CHECK(posted.status == 200);
  CHECK(Json::parse(posted.body)["status"].string == "success");
  Json targets = Json::parse(proxy.get("/api/v1/targets").body);
  CHECK(targets["data"]["activeTargets"].array.at(0)["health"].string == "up");
}
