// For threads whose work may take its time.
#pragma once

namespace pillion {

/// Gives the calling thread about a tenth of a worker's share of a CPU that both want. Where that isn't allowed nothing
/// changes.
void lower_own_priority() noexcept;

}  // namespace pillion
