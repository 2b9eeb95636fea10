// pillion invalidate: asks a running proxy to invalidate, and prints the receipt.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <optional>

#include "cli/admin.hpp"
#include "cli/commands.hpp"
#include "cli/http_client.hpp"
#include "ops/invalidate_body.hpp"
#include "ops/json_text.hpp"

namespace pillion::cli {
namespace {

namespace json = boost::json;

json::array array_of(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

constexpr const char* usual_wait = "2s";

struct Body {
  std::string text;
  InvalidationRequest request;
};

/// The body to send, or nullopt after saying what is wrong: the same rules as the proxy's own.
std::optional<Body> body_of(const InvalidateFlags& flags) {
  json::object body;
  if (!flags.tags.empty()) body["tags"] = array_of(flags.tags);
  if (!flags.patterns.empty()) body["patterns"] = array_of(flags.patterns);
  if (!flags.urls.empty()) body["urls"] = array_of(flags.urls);
  if (flags.all) body["all"] = true;
  if (body.empty()) {
    say_error("nothing to invalidate: give --tag, --pattern, --url or --all");
    return std::nullopt;
  }
  if (flags.soft) body["soft"] = true;
  if (flags.dry_run) body["dry_run"] = true;
  body["wait"] = flags.wait.empty() ? usual_wait : flags.wait;
  std::string text = json::serialize(body);
  auto parsed = parse_invalidate_body(text);
  if (const std::string* wrong = std::get_if<std::string>(&parsed)) {
    say_error(*wrong);
    return std::nullopt;
  }
  return Body{std::move(text), std::get<InvalidationRequest>(std::move(parsed))};
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value ? value->if_string() : nullptr;
  return text ? std::string(*text) : std::string();
}

void print_list(const json::object& object, std::string_view key, std::string_view label) {
  const json::value* value = object.if_contains(key);
  const json::array* list = value ? value->if_array() : nullptr;
  if (!list || list->empty()) return;
  std::cout << label;
  for (const json::value& item : *list)
    if (const json::string* text = item.if_string()) std::cout << ' ' << std::string_view(*text);
  std::cout << '\n';
}

void print_receipt(const json::object& receipt, bool dry_run) {
  const json::value* matched = receipt.if_contains("matched");
  if (dry_run) {
    std::cout << "dry run: " << (matched ? json::serialize(*matched) : "0") << " stored here would be invalidated\n";
    print_list(receipt, "examples", "such as:");
    return;
  }
  std::cout << (receipt.contains("soft") ? "softly " : "") << "invalidated at position " << text_at(receipt, "position")
            << '\n';
  if (const json::value* replicas = receipt.if_contains("replicas"); replicas && replicas->is_object()) {
    print_list(replicas->get_object(), "acknowledged", "acknowledged:");
    print_list(replicas->get_object(), "waiting", "waiting:");
  }
}

std::size_t count_waiting(const json::object& receipt) {
  const json::value* replicas = receipt.if_contains("replicas");
  const json::object* lists = replicas ? replicas->if_object() : nullptr;
  const json::value* waiting = lists ? lists->if_contains("waiting") : nullptr;
  const json::array* names = waiting ? waiting->if_array() : nullptr;
  return names ? names->size() : 0;
}

/// The invalidation is in the log, whoever is late: a failure only for who asked to wait.
int report_waiting(const InvalidateFlags& flags, std::chrono::milliseconds waited, const json::object& receipt) {
  const std::size_t late = count_waiting(receipt);
  if (late == 0 || waited.count() == 0) return 0;
  say_error(std::to_string(late) + (late == 1 ? " replica" : " replicas") + " had not applied it after " +
            (flags.wait.empty() ? usual_wait : flags.wait) + ": what hears of it later applies it then");
  return flags.wait.empty() ? 0 : 1;
}

int report(const InvalidateFlags& flags, std::chrono::milliseconds waited, const HttpAnswer& answer) {
  boost::system::error_code error;
  const json::value parsed = json::parse(answer.body, error);
  const json::object* receipt = error ? nullptr : parsed.if_object();
  if (!receipt) {
    say_error(flags.admin + " answered " + std::to_string(answer.status) + ": is that Pillion's admin address?");
    return 1;
  }
  const json::value* pending = receipt->if_contains("pending");
  if (answer.status == 200 || pending) {
    if (flags.json) {
      std::cout << json_text(*receipt) << '\n';
    } else {
      print_receipt(*receipt, flags.dry_run);
    }
    if (!pending) return report_waiting(flags, waited, *receipt);
    say_error("Redis is out of reach: done in this replica alone, the others hear of it when Redis is back");
    return 1;
  }
  const std::string hint = answer.status == 401 ? "; give --token-file or set PILLION_TOKEN" : "";
  say_error("refused with " + std::to_string(answer.status) + ": " + text_at(*receipt, "error") + hint);
  return 1;
}

}  // namespace

int invalidate(const InvalidateFlags& flags) {
  const ParsedUrl admin = parse_server_url(flags.admin);
  if (!admin.error.empty()) {
    say_error(admin.error);
    return 2;
  }
  const std::optional<Body> body = body_of(flags);
  std::string token;
  if (!body || !read_token(flags.token_file, token)) return 2;
  HttpRequest request;
  request.method = "POST";
  request.target = "/invalidate";
  request.headers = {{"Content-Type", "application/json"}};
  if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
  request.body = body->text;
  request.time_limit += body->request.wait;
  const HttpAnswer answer = fetch(admin.address, request);
  if (answer.status != 0) return report(flags, body->request.wait, answer);
  say_error(answer.error + "; nothing was invalidated as far as is known: name the proxy's admin address with --admin");
  return 1;
}

}  // namespace pillion::cli
