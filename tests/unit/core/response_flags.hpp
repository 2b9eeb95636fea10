// The flags of a response's meta by name, for tests that set and compare all of them. They are bits, which no pointer
// to member can name.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/stored_response.hpp"

namespace pillion::test {

/// Calls `visit(name, flag)` for each; what it returns becomes the flag. Names as in Cache-Control.
template <typename Visit>
void visit_flags(ResponseDirectives& d, Visit visit) {
  d.no_store = visit("no-store", d.no_store);
  d.no_cache = visit("no-cache", d.no_cache);
  d.private_ = visit("private", d.private_);
  d.public_ = visit("public", d.public_);
  d.must_revalidate = visit("must-revalidate", d.must_revalidate);
  d.proxy_revalidate = visit("proxy-revalidate", d.proxy_revalidate);
  d.must_understand = visit("must-understand", d.must_understand);
  d.no_transform = visit("no-transform", d.no_transform);
  d.immutable = visit("immutable", d.immutable);
}

/// Those that no directive of Cache-Control's stands for, too.
template <typename Visit>
void visit_flags(ResponseMeta& m, Visit visit) {
  visit_flags(m.directives, visit);
  m.directives.present = visit("present", m.directives.present);
  m.directives.own = visit("own", m.directives.own);
  m.request_had_cookie = visit("request_had_cookie", m.request_had_cookie);
  m.request_had_authorization = visit("request_had_authorization", m.request_had_authorization);
  m.had_set_cookie = visit("had_set_cookie", m.had_set_cookie);
  m.has_strong_etag = visit("has_strong_etag", m.has_strong_etag);
  m.has_validator = visit("has_validator", m.has_validator);
}

/// The names of those that are set.
template <typename Struct>
std::vector<std::string> flags_of(Struct from) {
  std::vector<std::string> names;
  visit_flags(from, [&names](const char* name, bool flag) {
    if (flag) names.emplace_back(name);
    return flag;
  });
  return names;
}

}  // namespace pillion::test
