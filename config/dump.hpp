// A Config printed again: as YAML that loads to an equal Config, and as JSON for people and the admin API. Pure.
#pragma once

#include <string>

#include "config/model.hpp"

namespace pillion::config {

/// The configuration as proxy.yaml. Loaded again (with the same files in place) it is equal to `config`.
/// With `hide_secrets` passwords and literal request header values are `***` instead.
std::string dump(const Config& config, bool hide_secrets);

/// The same as one JSON object, in the words of proxy.yaml, every secret replaced by `***`.
std::string to_json(const Config& config);

/// `250ms`, `90s`, `5m`: the largest unit that says it exactly.
std::string duration_text(Milliseconds value);
/// `10%` for 0.1.
std::string share_text(double share);
/// `1000B`, `15KiB`, `128MiB`: the largest unit that says it exactly.
std::string size_text(std::uint64_t bytes);

}  // namespace pillion::config
