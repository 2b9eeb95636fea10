// The version that `--version` and pillion_build_info tell.
#pragma once

#include <string_view>

namespace pillion {

std::string_view version() noexcept;

}  // namespace pillion
