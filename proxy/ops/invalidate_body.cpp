#include "ops/invalidate_body.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "config/scalars.hpp"

namespace pillion {
namespace {

namespace json = boost::json;

std::string quoted(std::string_view text) { return "`" + std::string(text.substr(0, 100)) + "`"; }

/// Empty, or what is wrong with the value of a list field.
std::string add_selectors(std::string_view field, Selector::Kind kind, const json::value& value,
                          std::vector<Selector>& out) {
  const json::array* list = value.if_array();
  if (!list) return quoted(field) + " must be a list of strings";
  for (const json::value& item : *list) {
    const json::string* text = item.if_string();
    if (!text) return quoted(field) + " must be a list of strings";
    if (text->empty()) return quoted(field) + " has an empty string: name what to invalidate, or ask for all";
    if (text->size() > max_selector_size) return quoted(field) + " has a string over 4096 bytes";
    if (kind == Selector::Kind::url)
      if (std::string wrong = check_invalidation_url(*text); !wrong.empty()) return wrong;
    if (out.size() == max_selectors) return "over 1000 selectors: send several requests, or \"all\": true";
    out.push_back({kind, std::string(*text)});
  }
  return {};
}

std::string read_bool(std::string_view field, const json::value& value, bool& out) {
  if (!value.is_bool()) return quoted(field) + " must be true or false";
  out = value.get_bool();
  return {};
}

std::string read_wait(const json::value& value, std::chrono::milliseconds& out) {
  const json::string* text = value.if_string();
  const auto wait = config::parse_duration(text ? std::string_view(*text) : std::string_view());
  if (!wait.value) return "`wait` must be a duration in quotes, such as \"2s\"";
  if (*wait.value > max_wait) return "`wait` is over 30s";
  out = *wait.value;
  return {};
}

std::string read_field(std::string_view field, const json::value& value, InvalidationRequest& request, bool& all) {
  using Kind = Selector::Kind;
  if (field == "tags") return add_selectors(field, Kind::tag, value, request.selectors);
  if (field == "patterns") return add_selectors(field, Kind::pattern, value, request.selectors);
  if (field == "urls") return add_selectors(field, Kind::url, value, request.selectors);
  if (field == "all") return read_bool(field, value, all);
  if (field == "dry_run") return read_bool(field, value, request.dry_run);
  if (field == "count") return read_bool(field, value, request.count);
  if (field == "soft") return read_bool(field, value, request.soft);
  if (field == "wait") return read_wait(value, request.wait);
  return "unknown field " + quoted(field) + ": known are tags, patterns, urls, all, soft, dry_run, count and wait";
}

json::array array_of(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

}  // namespace

std::string check_invalidation_url(std::string_view url) {
  for (unsigned char c : url)
    if (c <= 0x20 || c >= 0x7f || c == '#')
      return "the URL " + quoted(url) +
             " has a space, a `#`, a control character or one outside ASCII: percent-encode it";
  for (std::string_view scheme : {"http://", "https://"})
    if (iequals(url.substr(0, scheme.size()), scheme)) {
      const std::string_view rest = url.substr(scheme.size());
      if (rest.empty() || rest.front() == '/' || rest.front() == '?')
        return "the URL " + quoted(url) + " lacks its host";
      return {};
    }
  if (url.starts_with('/')) return {};
  return "the URL " + quoted(url) + " must be a path that begins with `/`, or begin with http:// or https://";
}

std::variant<InvalidationRequest, std::string> parse_invalidate_body(std::string_view body) {
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(body.data(), body.size()), error);
  if (error) return "the body is not JSON: " + error.message();
  const json::object* object = parsed.if_object();
  if (!object) return std::string("the body must be a JSON object");
  InvalidationRequest request;
  bool all = false;
  for (const auto& [field, value] : *object)
    if (std::string wrong = read_field(field, value, request, all); !wrong.empty()) return wrong;
  if (all) request.selectors.push_back({Selector::Kind::all, {}});
  if (request.selectors.empty())
    return std::string("nothing is selected: give tags, patterns or urls, or say \"all\": true");
  return request;
}

json::object to_json(const InvalidationReceipt& receipt, bool dry_run) {
  json::object out;
  if (dry_run) {
    out["dry_run"] = true;
    out["examples"] = array_of(receipt.examples);
  } else {
    out["position"] = receipt.position;
    out["replicas"] = {{"acknowledged", array_of(receipt.acknowledged)}, {"waiting", array_of(receipt.waiting)}};
  }
  if (receipt.soft) out["soft"] = true;
  if (receipt.counted) out["matched"] = receipt.matched;
  if (receipt.pending) {
    out["scope"] = "local";
    out["pending"] = true;
  }
  return out;
}

}  // namespace pillion
