#include "flow/fetch_job.hpp"

#include <algorithm>

#include "core/cache_key.hpp"
#include "core/invalidation.hpp"
#include "core/no_vary_search.hpp"

namespace pillion {

void OwnedFields::copy(Fields from) {
  std::size_t size = 0;
  for (const Field& field : from) size += field.name.size() + field.value.size();
  bytes.reserve(size);  // so that views into it stay
  fields.reserve(from.size());
  for (const Field& field : from) {
    const char* name = bytes.data() + bytes.size();
    bytes.append(field.name).append(field.value);
    fields.push_back({{name, field.name.size()}, {name + field.name.size(), field.value.size()}, field.id});
  }
}

const std::vector<std::uint32_t>& FetchJob::own_selectors() const {
  bool complete = true;  // as long as no response adds to them
  if (own_selectors_.empty()) own_selectors_ = make_selectors({}, complete);
  return own_selectors_;
}

std::vector<std::uint32_t> FetchJob::selectors(Fields response_fields, bool& complete) const {
  const bool adds = std::ranges::any_of(response_fields, [](const Field& field) {
    return field.id == Name::surrogate_key || field.id == Name::cache_tag || field.id == Name::cache_groups ||
           field.id == Name::no_vary_search;
  });
  if (adds) return make_selectors(response_fields, complete);
  complete = true;
  return own_selectors();
}

std::vector<std::uint32_t> FetchJob::make_selectors(Fields response_fields, bool& complete) const {
  std::vector<std::string> all = tags;
  complete = append_response_tags(response_fields, all);
  std::vector<std::uint32_t> selectors = selectors_of(all, scheme, host, path, query, has_query);
  complete = append_response_groups(response_fields, scheme, host, selectors) && complete;
  // Under a route that ignores the host a group is everybody's.
  if (place.route->settings.ignore_host) append_response_groups(response_fields, scheme, {}, selectors);
  // One entry for many queries: an invalidation of any of them means it.
  if (!search_rule.empty() || !pillion::search_rule(response_fields).empty())
    selectors.push_back(search_selector(path));
  const config::QueryRule& rule = place.route->settings.query;
  if (rule.changes_nothing() || !has_query) return selectors;
  // Under the query as the key has it, too: other spellings of it are this very entry.
  const std::string kept = apply_query_rule(query, rule);
  const auto more = selectors_of({}, scheme, host, path, kept, !kept.empty());
  selectors.insert(selectors.end(), more.begin(), more.end());
  return selectors;
}

void FetchJob::use_rule(const std::string& rule) {
  if (rule == search_rule) return;
  search_rule = rule;
  own_selectors_.clear();
  const std::string_view prefix = std::string_view(place.readable_key).substr(0, place.readable_key.rfind(':') + 1);
  if (rule.empty()) {
    place.primary_key = exact_key;
  } else {
    const std::string kept = has_query ? apply_query_rule(query, place.route->settings.query) : std::string();
    place.primary_key = path_key;
    append_search(rule, canonical_search(kept, rule), place.primary_key);
  }
  place.primary_hash = hash128(place.primary_key);
  std::string readable(prefix);
  append_hex(place.primary_hash, readable);
  place.readable_key = std::move(readable);
  place.marker.reset();
  place.seen = {};
  stale.reset();
}

}  // namespace pillion
