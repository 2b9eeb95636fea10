// A route's `query:` rule applied to one query. Pure. For cache_key.cpp; others use core/cache_key.hpp.
#pragma once

#include <string>
#include <string_view>

#include "config/model.hpp"

namespace pillion {

/// Appends what the rule leaves of the query, parameters in their received bytes and joined by `&`. False where no
/// parameter is left: then there is no `?` either. (An empty query is one parameter with an empty name.)
bool append_query(std::string_view query, const config::QueryRule& rule, std::string& out);

}  // namespace pillion
