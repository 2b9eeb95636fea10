#include "net/client_workspace.hpp"

#include "net/client_parser.hpp"

namespace pillion {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PILLION_KEEPS_NO_WORKSPACE  // so that the sanitizer sees what is used too late
#endif
#endif
#ifdef PILLION_KEEPS_NO_WORKSPACE
const std::size_t ClientWorkspaces::most = 0;
#else
const std::size_t ClientWorkspaces::most = 64;  // 64 sessions at a time have something to do that takes waiting
#endif

ClientWorkspace::ClientWorkspace() : buffer(first_buffer), parser(std::make_unique<ClientParser>()) {}

ClientWorkspace::~ClientWorkspace() = default;

void ClientWorkspace::clear() noexcept {
  fields.clear();
  parser->parse.reset();
  out.clear();
}

ClientWorkspaces::~ClientWorkspaces() {
  while (first_) delete std::exchange(first_, first_->next);
}

}  // namespace pillion
