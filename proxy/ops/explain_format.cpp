// An explanation as text for people and as JSON for machines.
#include <boost/json/array.hpp>

#include "config/dump.hpp"
#include "ops/explain.hpp"

namespace pillion {
namespace {

namespace json = boost::json;

json::array array_of(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

/// Whole seconds as an integer: Boost.JSON writes a double of 300 as 3E2.
json::value seconds(std::int64_t ms) {
  if (ms % 1000 == 0) return ms / 1000;
  return static_cast<double>(ms) / 1000.0;
}

json::value text_or_null(const std::string& text) { return text.empty() ? json::value() : json::value(text); }

json::object to_json(const ExplainedInvalidation& item) {
  json::object out;
  out["methods"] = array_of(item.methods);
  if (!item.tags.empty()) out["tags"] = array_of(item.tags);
  if (!item.patterns.empty()) out["patterns"] = array_of(item.patterns);
  if (!item.urls.empty()) out["urls"] = array_of(item.urls);
  if (!item.paths.empty()) out["paths"] = array_of(item.paths);
  return out;
}

json::object encoded_json(const ExplainedStored& stored) {
  json::object out;
  for (const auto& [coding, size] : stored.encoded) out[to_string(coding)] = size;
  return out;
}

json::object to_json(const ExplainedStored& stored) {
  const bool known = stored.between_changes_ms != 0;
  return {{"lifetime", seconds(stored.lifetime_ms)},
          {"learned", stored.learned},
          {"between_changes", known ? seconds(stored.between_changes_ms) : json::value()},
          {"age", seconds(stored.age_ms)},
          {"ttl", seconds(stored.ttl_ms)},
          {"tier", stored.invalidated ? json::value() : json::value(to_string(stored.tier))},
          {"invalidated", stored.invalidated},
          {"size", stored.size},
          {"encoded", encoded_json(stored)},
          {"hits", stored.hits},
          {"status", stored.status},
          {"reuse", stored.reuse},
          {"key", stored.key}};
}

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += separator;
    out += text;
  }
  return out;
}

void line(std::string& out, std::string_view label, std::string_view text) {
  out += "  ";
  out += label;
  out.append(label.size() < 14 ? 14 - label.size() : 1, ' ');
  out += text;
  out += '\n';
}

std::string text_of(const ExplainedInvalidation& item) {
  std::string out = item.methods.empty() ? "any unsafe method" : joined(item.methods, ", ");
  const auto add = [&out](std::string_view kind, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) out.append(out.back() == ':' ? " " : ", ").append(kind).append(text);
  };
  out += ':';
  add("tag ", item.tags);
  add("pattern ", item.patterns);
  add("URL ", item.urls);
  add("path ", item.paths);
  return out;
}

std::string lifetime_text(const Explanation& e) {
  std::string out = e.ttl ? config::duration_text(*e.ttl) + " (" + e.ttl_from + ")" : "as the response says";
  for (const auto& [status, ttl] : e.ttl_by_status)
    out += ", " + std::to_string(status) + ": " + config::duration_text(ttl);
  return out;
}

std::string stale_text(const Explanation& e) {
  std::string out;
  if (e.stale_while_revalidate)
    out = "for " + config::duration_text(*e.stale_while_revalidate) + " while it is refreshed in the background";
  if (!e.stale_if_error) return out;
  if (!out.empty()) out += ", ";
  return out + "for " + config::duration_text(*e.stale_if_error) + " where the upstream fails";
}

std::string renewal_text(const Explanation& e) {
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (e.adaptive.is_on())
    add("learned from refreshes, " + config::duration_text(e.adaptive.min) + " to " +
        config::duration_text(e.adaptive.max) + ", never past an explicit one");
  if (e.refresh.jitter > 0) add("shortened by up to " + config::share_text(e.refresh.jitter));
  if (e.refresh.ahead > 0)
    add("fetched anew in its last " + config::share_text(e.refresh.ahead) + " where it is asked for often");
  return out;
}

std::string learned_text(const ExplainedStored& stored) {
  if (!stored.learned) return {};
  std::string out = ", of a lifetime of " + std::to_string(stored.lifetime_ms / 1000) + "s that was learned";
  if (stored.between_changes_ms == 0) return out;
  return out + " (about " + std::to_string(stored.between_changes_ms / 1000) + "s between changes)";
}

std::string stored_text(const ExplainedStored& stored) {
  const std::string where = stored.invalidated ? "invalidated" : "in " + std::string(to_string(stored.tier));
  std::string sizes = std::to_string(stored.size) + " bytes";
  for (const auto& [coding, size] : stored.encoded)
    sizes += ", " + std::string(to_string(coding)) + " " + std::to_string(size);
  return "status " + std::to_string(stored.status) + ", " + sizes + ", " + where + ", age " +
         std::to_string(stored.age_ms / 1000) + "s, lifetime left " + std::to_string(stored.ttl_ms / 1000) + "s" +
         learned_text(stored) + ", " + std::string(stored.reuse);
}

}  // namespace

json::object to_json(const Explanation& e) {
  json::object out;
  out["method"] = e.method;
  out["url"] = e.target;
  out["host"] = e.host;
  out["route"] = text_or_null(e.route);
  out["upstream"] = text_or_null(e.upstream);
  out["forwarded"] = e.forwarded_target;
  out["cacheable"] = e.cacheable;
  out["reason"] = e.reason;
  out["because"] = e.because;
  out["key"] = text_or_null(e.key);
  out["redis_key"] = text_or_null(e.redis_key);
  out["stores"] = array_of(e.stores);
  out["compress_answers"] = e.compresses;
  out["ttl"] = e.ttl ? seconds(e.ttl->count()) : json::value();
  out["ttl_from"] = text_or_null(e.ttl_from);
  if (!e.ttl_by_status.empty()) {
    json::object by_status;
    for (const auto& [status, ttl] : e.ttl_by_status) by_status[std::to_string(status)] = seconds(ttl.count());
    out["ttl_by_status"] = std::move(by_status);
  }
  if (e.stale_while_revalidate || e.stale_if_error) {
    json::object stale;
    if (e.stale_while_revalidate) stale["while_revalidate"] = seconds(e.stale_while_revalidate->count());
    if (e.stale_if_error) stale["if_error"] = seconds(e.stale_if_error->count());
    out["stale"] = std::move(stale);
  }
  if (e.refresh != config::Refresh{}) out["refresh"] = {{"ahead", e.refresh.ahead}, {"jitter", e.refresh.jitter}};
  if (e.adaptive.is_on())
    out["adaptive"] = {{"min", seconds(e.adaptive.min.count())}, {"max", seconds(e.adaptive.max.count())}};
  out["tags"] = array_of(e.tags);
  json::array invalidates;
  for (const ExplainedInvalidation& item : e.invalidates) invalidates.push_back(to_json(item));
  out["invalidates"] = std::move(invalidates);
  if (e.asked_store) out["stored"] = e.stored ? json::value(to_json(*e.stored)) : json::value();
  return out;
}

std::string to_text(const Explanation& e) {
  std::string out = e.method + " " + e.target + " (host " + e.host + ")\n";
  line(out, "route", e.route.empty() ? "none" : e.route);
  line(out, "upstream", (e.upstream.empty() ? "none" : e.upstream) + ", asked for " + e.forwarded_target);
  line(out, "cacheable", (e.cacheable ? "yes" : "no (" + e.reason + ")") + ": " + e.because);
  if (e.cacheable) line(out, "lifetime", lifetime_text(e));
  if (e.cacheable && !renewal_text(e).empty()) line(out, "renewal", renewal_text(e));
  if (e.cacheable && !stale_text(e).empty()) line(out, "stale use", stale_text(e));
  if (!e.key.empty()) {
    line(out, "stores", e.stores.empty() ? "none" : joined(e.stores, ", "));
    line(out, "compressed",
         e.compresses ? "for clients that accept it, once it proves hot, where its type allows" : "no");
    line(out, "key", e.key);
    line(out, "redis key", e.redis_key);
    line(out, "tags", e.tags.empty() ? "none" : joined(e.tags, ", "));
    line(out, "invalidated", "by any unsafe method to this path, and by `pillion invalidate` with");
    for (const std::string& tag : e.tags) line(out, "", "--tag '" + tag + "'");
    line(out, "", "--url '" + e.target + "'");
    line(out, "", "--pattern '" + e.readable_key.substr(0, e.readable_key.rfind(':')) + ":*'");
  }
  std::string_view label = "invalidates";
  for (const ExplainedInvalidation& item : e.invalidates) {
    line(out, label, text_of(item));
    label = "";
  }
  if (e.asked_store) line(out, "stored", e.stored ? stored_text(*e.stored) : "nothing");
  return out;
}

}  // namespace pillion
