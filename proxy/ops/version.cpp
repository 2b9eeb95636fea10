#include "ops/version.hpp"

namespace pillion {

std::string_view version() noexcept { return PILLION_VERSION; }  // set by CMake from project(VERSION)

}  // namespace pillion
