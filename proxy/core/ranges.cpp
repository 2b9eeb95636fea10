#include "core/ranges.hpp"
