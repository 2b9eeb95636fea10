// Methods. See message.hpp.
#include "core/message.hpp"

namespace pillion {

// Case-sensitive (RFC 9110 9.1): `get` is some other method, thus an unsafe one.
Method method_of(std::string_view method) noexcept {
  if (method == "GET") return Method::get;
  if (method == "HEAD") return Method::head;
  if (method == "POST") return Method::post;
  if (method == "PUT") return Method::put;
  if (method == "PATCH") return Method::patch;
  if (method == "DELETE") return Method::del;
  if (method == "OPTIONS") return Method::options;
  if (method == "CONNECT") return Method::connect;
  if (method == "TRACE") return Method::trace;
  return Method::other;
}

}  // namespace pillion
