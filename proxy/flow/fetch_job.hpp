// What one fetch for all needs to know, owned. Worker-local.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/message.hpp"
#include "flow/exchange.hpp"
#include "flow/fleet_lease.hpp"
#include "flow/flight.hpp"
#include "flow/keeper.hpp"

namespace pillion {

/// Fields with the bytes they look into.
struct OwnedFields {
  std::string bytes;
  std::vector<Field> fields;
  void copy(Fields from);
};

/// Everything a fetch needs, owned: the client that asked may be gone before it ends.
struct FetchJob {
  Place place;
  const config::Upstream* upstream = nullptr;
  std::shared_ptr<Flight> flight;
  bool collapsing = false;  ///< the collapser knows the flight under `hash`
  /// Whether other replicas are to be waited for (flow/fleet_turn.hpp); a refresh leaves it to them.
  enum class Fleet : std::uint8_t { no, wait, refresh } fleet = Fleet::no;
  std::unique_ptr<FleetLease> lease;  ///< of the fetch for all replicas, where it was had
  std::string wire;                   ///< the request to send
  std::string validators;             ///< the lines of it that make it conditional
  PermitPtr in_flight;                ///< had before it began
  OwnedFields request;                ///< the client's fields: for Vary
  RequestFacts facts;
  std::string key;  ///< what it was looked up by: primary, or primary and variant
  Hash128 hash;
  Hash128 plan_hash;                ///< of the primary key it was looked up by
  std::string path_key, exact_key;  ///< the primary key without query, and with all of it
  std::string search_rule;          ///< under which the primary key was made; empty: none
  std::vector<std::string> tags;
  std::string scheme, host, path, query;
  bool has_query = false;
  StoredResponsePtr stale;         ///< what stands there now, not fresh
  StoredResponsePtr validating;    ///< the same where it is asked about with a condition
  StoredResponsePtr learned_from;  ///< without `stale`: what was invalidated there
  bool strong_only = false;        ///< it was invalidated: a strong entity tag alone can tell that it holds
  bool serves_error = false;       ///< `stale` answers where the upstream fails: an error doesn't take its place

  /// Hashes of all that selects whatever answers the request, before it is known what that says.
  const std::vector<std::uint32_t>& own_selectors() const;
  /// Hashes of all that selects the response; false in `complete` where it names more than can be kept.
  std::vector<std::uint32_t> selectors(Fields response_fields, bool& complete) const;
  /// Makes the place that of a response with another search rule.
  void use_rule(const std::string& rule);

 private:
  std::vector<std::uint32_t> make_selectors(Fields response_fields, bool& complete) const;
  mutable std::vector<std::uint32_t> own_selectors_;  // empty until they are asked for
};

}  // namespace pillion
