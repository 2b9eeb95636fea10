// GET /: one page that shows /stats and /advice. Nothing is loaded from anywhere else.
#pragma once

#include <string_view>

namespace pillion {

std::string_view dashboard_page() noexcept;

}  // namespace pillion
