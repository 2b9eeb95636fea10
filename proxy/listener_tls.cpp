#include "listener_tls.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

#include "config/loader.hpp"

namespace pillion {

ListenerTls::ListenerTls(const config::Listener& listener)
    : address_(listener.address.to_string()), files_(listener.tls), seen_(read()), context_(make(seen_)) {}

ListenerTls::Contents ListenerTls::read() const {
  Contents contents;
  const auto take = [&contents](const std::string& path, std::string& into) {
    config::FileContent content = config::read_small_file(path);
    if (content.text) {
      into = std::move(*content.text);
    } else if (contents.wrong.empty()) {
      contents.wrong = "can't read " + path + ": " + content.error;
    }
  };
  take(files_.certificate, contents.certificate);
  take(files_.key, contents.key);
  return contents;
}

TlsContext ListenerTls::make(const Contents& contents) const {
  const std::string where = "tls of " + address_ + ": ";
  if (!contents.wrong.empty()) throw std::runtime_error(where + contents.wrong);
  try {
    return make_server_tls(contents.certificate, contents.key);
  } catch (const std::exception& error) {
    throw std::runtime_error(where + files_.certificate + ", " + files_.key + ": " + error.what());
  }
}

std::optional<ListenerTls::Change> ListenerTls::refresh() {
  Contents fresh = read();
  if (fresh == seen_) return std::nullopt;
  seen_ = std::move(fresh);
  try {
    context_ = make(seen_);
    return Change{true, "tls of " + address_ + ": " + files_.certificate + " was read again"};
  } catch (const std::exception& error) {
    return Change{false, std::string(error.what()) + "; the old ones stay in force"};
  }
}

}  // namespace pillion
