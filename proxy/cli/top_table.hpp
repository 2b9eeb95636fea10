// The table of `pillion top`, from two answers of /stats. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>

namespace pillion::cli {

/// One line a route that has had requests, the busiest first, `rows` at most; then all together. `before`: of `seconds`
/// ago; empty for the figures since the start. Whatever is missing or of another type counts as 0.
std::string top_table(const boost::json::object& stats, const boost::json::object& before, double seconds,
                      std::size_t rows);

}  // namespace pillion::cli
