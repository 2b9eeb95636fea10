#include "core/accept.hpp"
