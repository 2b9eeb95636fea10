// Cache keys: the primary key, its variants, and the readable name in Redis. Pure. Keys can't collide: parts are typed
// and length-prefixed, and whoever finds an entry by hash compares the whole key.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "core/message.hpp"
#include "core/route_table.hpp"

namespace pillion {

/// Appends the whole primary key (method-independent, RFC 9111 2): upstream, scheme, host (lower-case, default port
/// removed; left out with ignore_host), path as the upstream sees it (after rewrite), query after the route's `query:`
/// rule, key_headers, keyed cookies and, where the route says `authorization: key`, Authorization. Absent differs from
/// empty.
void append_primary_key(const RequestHead& request, const RouteMatch& match, std::string_view upstream_name,
                        std::string& out);

/// The target that goes to the upstream: path after `rewrite`, query after the `query:` rule. What the key leaves out
/// is not sent either.
std::string forwarded_target(const RequestHead& request, const RouteMatch& match, bool whole_query = false);

/// The query after the rule: ignored parameters cut, sorted by name where asked, the rest in its received bytes. Where
/// the rule cuts every parameter there is no query any more: forwarded_target() leaves its `?` out too.
std::string apply_query_rule(std::string_view query, const config::QueryRule& rule);

/// Whether the path may be stored at all: it begins with a slash and has no dot segments (plain, encoded, or before a
/// `;`), no encoded slash, no backslash, `//`, `#`, control character or space (plain; encoded but for the space), and
/// no
/// `%` without two hexadecimal digits.
bool is_keyable_path(std::string_view path) noexcept;

/// `{key}:{hash}` without the namespace.
std::string readable_key(const RouteMatch& match, const Hash128& hash);
/// Whether a name is formed as that of a response or of a variant: `...:{hash}` or `...:{hash}.{variant}`, and none of
/// those kept for Pillion's own records.
bool is_response_key(std::string_view readable_key) noexcept;

/// Canonical field list of a response's Vary: lower-case names, sorted, unique, joined by `,`. nullopt where it has
/// `*`, a member that is no token, or over max_vary_fields names. Empty where there is no Vary.
inline constexpr std::size_t max_vary_fields = 16;
std::optional<std::string> canonical_vary(Fields response_fields);

/// What of a request selects a variant (RFC 9111 4.1): for each name of the canonical list a length-prefixed value,
/// lines joined by `, `, absent marked as absent. Appended after the primary key it makes the variant's whole key.
/// Of fields that are known to be lists white space around the commas is normalised; Accept-Encoding is, and with a
/// list of languages that the application speaks Accept-Language is (core/accept.hpp).
std::string variant_key(std::string_view canonical_vary, Fields request_fields,
                        const std::vector<std::string>& spoken = {});
/// Where a variant stands in this process: depends on the primary key's hash and that of variant_key().
Hash128 variant_place(const Hash128& primary, const Hash128& variant);

/// Appends to the primary key of a request without its query what of the query counts under a No-Vary-Search rule.
void append_search(std::string_view rule, std::string_view canonical_search, std::string& out);

}  // namespace pillion
