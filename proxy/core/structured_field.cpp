#include "core/structured_field.hpp"
