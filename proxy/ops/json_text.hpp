// JSON as people read it. For what the admin API and the commands say.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace pillion {

/// As boost::json::serialize(), but numbers are plain decimals: 80.6, not 8.06E1. What is no number in JSON is null.
std::string json_text(const boost::json::value& value);

}  // namespace pillion
