#include "cli/demo_app.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <map>
#include <string>
#include <thread>

#include "net/async.hpp"

namespace pillion::cli {
namespace {

namespace http = boost::beast::http;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
using asio::ip::tcp;

constexpr std::chrono::milliseconds work{100}, listing{300};
constexpr std::string_view characters = "/api/characters/";
constexpr std::size_t max_characters = 1000;

/// What comes after /api/characters/, or empty where it is no name.
std::string character_id(std::string_view target) {
  if (!target.starts_with(characters)) return {};
  target.remove_prefix(characters.size());
  target = target.substr(0, target.find('?'));
  if (target.size() > 32) return {};
  for (char c : target)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
      return {};
  return std::string(target);
}

Response reply(const Request& request, http::status status, std::string body) {
  Response out(status, request.version());
  out.set(http::field::content_type, "application/json");
  out.keep_alive(request.keep_alive());
  out.body() = std::move(body);
  out.prepare_payload();
  return out;
}

}  // namespace

struct DemoApp::Impl {
  asio::io_context context{1};
  tcp::acceptor acceptor{context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::map<std::string, unsigned> versions;  // of characters that were changed
  std::atomic<std::uint64_t> requests{0};
  std::thread thread;

  awaitable<void> accept_all();
  awaitable<void> serve(tcp::socket socket);
  awaitable<Response> answer(const Request& request);
  Response answer_character(const Request& request, const std::string& id);
};

awaitable<void> DemoApp::Impl::accept_all() {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(no_throw);
    if (error) co_return;
    asio::co_spawn(context, serve(std::move(socket)), asio::detached);
  }
}

awaitable<void> DemoApp::Impl::serve(tcp::socket socket) {
  boost::beast::flat_buffer buffer(1u << 20);
  for (;;) {
    Request request;
    const auto [unread, read] = co_await http::async_read(socket, buffer, request, no_throw);
    if (unread) co_return;
    requests.fetch_add(1);
    Response response = co_await answer(request);
    http::response_serializer<http::string_body> serializer(response);
    const bool head = request.method() == http::verb::head;
    const auto [unsent, sent] = head ? co_await http::async_write_header(socket, serializer, no_throw)
                                     : co_await http::async_write(socket, serializer, no_throw);
    if (unsent || !response.keep_alive()) co_return;
  }
}

awaitable<Response> DemoApp::Impl::answer(const Request& request) {
  if (const std::string id = character_id(request.target()); !id.empty()) {
    asio::steady_timer timer(context, work);
    co_await timer.async_wait(no_throw);
    co_return answer_character(request, id);
  }
  if (request.target() == "/api/status") {
    Response out = reply(request, http::status::ok, R"({"status":"ok"})");
    out.set(http::field::cache_control, "max-age=5");
    co_return out;
  }
  if (request.target() == "/object_info/KSampler") {
    asio::steady_timer timer(context, listing);
    co_await timer.async_wait(no_throw);
    co_return reply(
        request, http::status::ok,
        R"({"KSampler":{"input":{"required":{"sampler_name":[["euler","dpmpp_2m","ddim"]],"scheduler":[["normal","karras"]]}}}})");
  }
  co_return reply(request, http::status::not_found, R"({"error":"not found"})");
}

Response DemoApp::Impl::answer_character(const Request& request, const std::string& id) {
  const http::verb method = request.method();
  if (method != http::verb::get && method != http::verb::head && method != http::verb::put)
    return reply(request, http::status::method_not_allowed, R"({"error":"use GET or PUT"})");
  if (method == http::verb::put && (versions.contains(id) || versions.size() < max_characters)) ++versions[id];
  const auto found = versions.find(id);
  const std::string version = std::to_string(found == versions.end() ? 1 : found->second + 1);
  Response out = reply(request, http::status::ok, R"({"id":")" + id + R"(","version":)" + version + "}");
  out.set(http::field::etag, "\"" + id + "-" + version + "\"");
  return out;
}

DemoApp::DemoApp() : impl_(std::make_unique<Impl>()) {
  asio::co_spawn(impl_->context, impl_->accept_all(), asio::detached);
  impl_->thread = std::thread([impl = impl_.get()] { impl->context.run(); });
}

DemoApp::~DemoApp() {
  impl_->context.stop();
  impl_->thread.join();
}

config::Address DemoApp::address() const { return {"127.0.0.1", impl_->acceptor.local_endpoint().port(), {}}; }

std::uint64_t DemoApp::requests() const { return impl_->requests.load(); }

}  // namespace pillion::cli
