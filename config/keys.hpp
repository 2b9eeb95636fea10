// Which keys proxy.yaml has, straight from the tables that the loader reads by. For the test that holds the schema,
// the example and the loader together, and for tools that complete keys.
#pragma once

#include <string>
#include <vector>

namespace pillion::config {

/// One section's keys. A `*` in its path stands for an item of a list or for a name that the user chooses; the
/// top level has the empty path.
struct KeyList {
  std::string path;  ///< such as `upstreams.*.connections`
  std::vector<std::string> known;
};

/// Every section, parents before children.
std::vector<KeyList> key_lists();

}  // namespace pillion::config
