#include "core/no_vary_search.hpp"
