// `pillion warm`: a list of URLs goes to a running proxy, a part at a time, and what becomes of each is printed.
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <iostream>
#include <optional>
#include <vector>

#include "cli/admin.hpp"
#include "cli/commands.hpp"
#include "cli/warm_progress.hpp"
#include "core/headers.hpp"

namespace pillion::cli {

namespace {

namespace json = boost::json;

// What one request carries: well below the admin address's limit of 1 MiB, however much JSON escapes.
constexpr std::size_t urls_a_request = 500, bytes_a_request = 100u << 10;
constexpr std::size_t max_urls = 1'000'000, longest_line = 64u << 10;
// A slow application may be asked, and asked again.
constexpr std::chrono::minutes patience{5};

std::optional<std::vector<std::string>> read_lines(std::istream& in) {
  std::vector<std::string> urls;
  for (std::string line; std::getline(in, line);) {
    const std::string url(trim(std::string_view(line).substr(0, line.find('\r'))));
    if (url.empty() || url.front() == '#') continue;
    if (url.size() > longest_line || urls.size() == max_urls) return std::nullopt;
    urls.push_back(url);
  }
  return urls;
}

// The list, or nullopt after saying what is wrong.
std::optional<std::vector<std::string>> read_list(const std::string& name) {
  std::optional<std::vector<std::string>> urls;
  if (name == "-") {
    urls = read_lines(std::cin);
  } else {
    std::ifstream file(name, std::ios::binary);
    if (!file) {
      say_error(name + ": the list can't be read");
      return std::nullopt;
    }
    urls = read_lines(file);
    if (file.bad()) urls = std::nullopt;
  }
  if (!urls) say_error(name + ": no list of URLs, one a line, a million at most");
  if (urls && urls->empty()) {
    say_error(name + ": no URL stands in it: write one a line");
    return std::nullopt;
  }
  return urls;
}

std::string body_of(const WarmFlags& flags, const std::vector<std::string>& urls, std::size_t& next) {
  json::array list;
  for (std::size_t bytes = 0; next < urls.size() && list.size() < urls_a_request && bytes < bytes_a_request; ++next) {
    bytes += urls[next].size();
    list.emplace_back(urls[next]);
  }
  json::object body;
  body["urls"] = std::move(list);
  if (!flags.listener.empty()) body["listener"] = flags.listener;
  return json::serialize(body);
}

}  // namespace

int warm(const WarmFlags& flags) {
  const auto urls = read_list(flags.file);
  if (!urls) return 2;
  const AdminTarget target{flags.admin, flags.token_file};
  config::Address address;
  HttpRequest request;
  if (!prepare(target, address, request)) return 2;
  request.method = "POST";
  request.target = "/warm";
  request.time_limit = patience;
  request.headers.emplace_back("Content-Type", "application/json");
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  WarmProgress progress(std::cout,
                        flags.json ? WarmProgress::Form::json
                        : terminal ? WarmProgress::Form::bar
                                   : WarmProgress::Form::lines,
                        urls->size());
  request.on_body = [&](std::string_view bytes) { progress.take(bytes); };
  for (std::size_t next = 0; next < urls->size();) {
    const std::size_t before = progress.done();
    request.body = body_of(flags, *urls, next);
    const HttpAnswer answer = fetch(address, request);
    if (answer.status != 200 || progress.done() != next) {
      progress.end();
      if (answer.status == 200 || progress.done() > before) {
        say_error("the answer broke off: " + (answer.error.empty() ? "URLs are missing in it" : answer.error));
      } else {
        say_refusal(target, answer);
      }
      return 1;
    }
    if (progress.count(WarmResult::stopped) > 0) break;
  }
  progress.end();
  if (progress.count(WarmResult::stopped) > 0) {
    say_error("the proxy is ending: the rest is not warmed");
    return 1;
  }
  return progress.count(WarmResult::failed) > 0 ? 1 : 0;
}

}  // namespace pillion::cli
