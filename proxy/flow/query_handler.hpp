// The query cache over HTTP (product contract, "Query cache API"): what its listener's connections are answered with.
// Worker-local.
#pragma once

#include <string>
#include <string_view>

#include "flow/context.hpp"
#include "flow/query_cache.hpp"
#include "flow/request_handler.hpp"
#include "net/client_session.hpp"

namespace pillion {

class QueryHandler final : public ClientHandler {
 public:
  /// `requests` counts and logs.
  QueryHandler(WorkerContext& context, RequestHandler& requests)
      : context_(context), requests_(requests), cache_(context) {}

  const config::Config& settings() const override { return *context_.snapshot->config; }
  bool answer_now(ClientSession& session) override;
  awaitable<void> handle(ClientSession& session) override;
  awaitable<void> tunnel_http2(ClientSession& session) override;
  void note_own_answer(ClientSession& session, unsigned status) override;
  /// Whoever waits for a value gets an answer now.
  void finish_soon() { cache_.finish_soon(); }

 private:
  struct Wanted;
  struct Refused {
    unsigned status = 0;  ///< 0: it isn't
    std::string_view why, fields;
  };
  Refused understand(const ClientSession& session, Wanted& wanted) const;
  awaitable<bool> read_value(ClientSession& session, const Wanted& wanted, const std::string& token, std::string& body,
                             std::size_t room, Outcome& outcome);
  awaitable<void> get(ClientSession& session, const Wanted& wanted, Outcome& outcome);
  awaitable<void> put(ClientSession& session, const Wanted& wanted, Outcome& outcome);
  awaitable<void> remove(ClientSession& session, const Wanted& wanted, Outcome& outcome);
  void put_value(ClientSession& session, const Query& query, const QueryAnswer& answer, Outcome& outcome);

  WorkerContext& context_;
  RequestHandler& requests_;
  QueryCache cache_;
};

/// Whether a web page, in whatever browser, may have sent this: it has a field that browsers add and others don't, or
/// its Host is none of this machine's (which a page's own host may be made to lead to). Pure.
bool may_be_a_web_page(const RequestHead& request, bool over_tcp) noexcept;

}  // namespace pillion
