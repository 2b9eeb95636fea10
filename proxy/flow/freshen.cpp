#include "flow/freshen.hpp"

#include <algorithm>

#include "core/cache_key.hpp"
#include "core/compressible.hpp"
#include "core/freshness.hpp"
#include "core/invalidation.hpp"
#include "core/no_vary_search.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/learning.hpp"
#include "store/store_id.hpp"

namespace pillion {

namespace {

// Directives meant for this proxy alone aren't part of the stored head: until new ones come, those that came with the
// stored response hold.
void keep_own_directives(const StoredResponse& stored, Fields fields, ResponseMeta& meta) {
  if (!stored.meta().directives.own || find(fields, Name::pillion_cache_control)) return;
  meta.directives = stored.meta().directives;
  meta.expires_s = no_delta;
}

// What speaks to this proxy alone doesn't go on to clients (see append_response_head()).
std::vector<Field> for_clients(Fields said) {
  std::vector<Field> out;
  for (const Field& field : said) {
    const bool ours =
        field.id == Name::pillion_cache_control || field.id == Name::surrogate_key || field.id == Name::cache_tag;
    if (!ours) out.push_back(field);
  }
  return out;
}

// Tags and groups that the new fields name, besides those that the stored response had. False where there are too many.
bool add_named(Fields said, const Freshening& by, std::vector<std::uint32_t>& selectors) {
  std::vector<std::string> tags;
  bool all = append_response_tags(said, tags);
  for (const std::string& tag : tags) selectors.push_back(selector_hash({Selector::Kind::tag, tag}));
  all = append_response_groups(said, by.scheme, by.host, selectors) && all;
  if (by.route->ignore_host) append_response_groups(said, by.scheme, {}, selectors);
  std::sort(selectors.begin(), selectors.end());
  selectors.erase(std::unique(selectors.begin(), selectors.end()), selectors.end());
  return all;
}

}  // namespace

Freshened freshen(const StoredResponse& stored, Fields said, const Freshening& by) {
  const Now came = now();
  std::string wire = freshened_head(stored, for_clients(said));
  append_missing_date(fields_of_head(wire), came.wall_ms / 1000, wire);
  std::vector<Field> fields = fields_of_head(wire);
  const std::string etag(entity_tag_of(fields));
  const std::vector<Field> before = fields_of_head(stored.head());
  const auto vary = canonical_vary(Fields(fields));
  bool may_keep = vary && vary == canonical_vary(Fields(before)) && search_rule(fields) == search_rule(before);
  // Of this exchange alone: what is stored has none of them, and yet they count.
  for (const Field& field : said) {
    if (field.id == Name::age || field.id == Name::set_cookie || field.id == Name::pillion_cache_control)
      fields.push_back(field);
  }
  const ResponseHead head{stored.meta().status, {}, 1, Fields(fields)};
  std::vector<std::uint32_t> selectors(stored.selectors().begin(), stored.selectors().end());
  may_keep = add_named(said, by, selectors) && may_keep;
  StoredParts parts;
  parts.meta = make_meta(head, by.asked.mono_ms, came);
  keep_own_directives(stored, said, parts.meta);
  describe_coding(head.fields, parts.meta);
  parts.meta.request_had_cookie = stored.meta().request_had_cookie || by.facts.has_cookie;
  parts.meta.request_had_authorization = stored.meta().request_had_authorization || by.facts.has_authorization;
  parts.meta.had_set_cookie = parts.meta.had_set_cookie || stored.meta().had_set_cookie;
  parts.selectors = selectors;
  parts.position = by.fence.local;
  parts.shared_position = by.fence.shared;
  parts.epoch = by.fence.epoch;
  if (parts.epoch != 0) parts.store_id = new_store_id();
  parts.primary_key = stored.primary_key();
  const std::string readable_key = stored.readable_key();
  parts.readable_key = readable_key;
  parts.head = wire;
  parts.etag = etag;
  parts.body = stored.body();
  const std::optional<bool> same = by.requests ? std::optional<bool>(true) : std::nullopt;
  take_over({&stored, same, by.requests.value_or(0)}, *by.route, parts);
  may_keep = may_keep && may_store(by.facts, parts.meta, head.fields, *by.route).store;
  Freshened fresh{StoredResponse::make(parts), may_keep};
  if (fresh.may_keep && fresh.response) take_over_forms(*fresh.response, stored);
  return fresh;
}

}  // namespace pillion
