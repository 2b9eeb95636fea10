#include "net/redis_discovery.hpp"

#include <doctest/doctest.h>

#include "net/redis_codec.hpp"
#include "net/redis_topology.hpp"

using namespace pillion;
using Type = RedisReply::Type;

namespace {

RedisReply text(std::string value) { return {Type::string, std::move(value), 0, {}}; }
RedisReply number(std::int64_t value) { return {Type::integer, {}, value, {}}; }
RedisReply list(std::vector<RedisReply> elements) { return {Type::array, {}, 0, std::move(elements)}; }
const RedisReply nil{Type::nil, {}, 0, {}};

RedisReply node(RedisReply host, std::int64_t port, RedisReply more = list({})) {
  return list({std::move(host), number(port), text("id"), std::move(more)});
}
RedisReply range(std::int64_t first, std::int64_t last, RedisReply master) {
  return list({number(first), number(last), std::move(master), node(text("replica"), 9)});
}

const RedisReply well = text("cluster_state:ok\r\ncluster_slots_ok:16384\r\ncluster_current_epoch:6\r\n");
const config::Address asked{"asked", 7000, {}};

}  // namespace

TEST_CASE("a cluster's map has each master once and each slot's owner") {
  const auto map = read_cluster_map(well,
                                    list({range(0, 99, node(text("a"), 1)), range(200, 16383, node(text("b"), 1)),
                                          range(100, 100, node(text("a"), 1))}),
                                    asked);
  REQUIRE(map);
  CHECK(map->is_ok);
  CHECK(map->epoch == 6);
  REQUIRE(map->masters.size() == 2);
  CHECK(map->masters[0].to_string() == "a:1");
  CHECK(map->masters[1].to_string() == "b:1");
  REQUIRE(map->slots.size() == 16384);
  CHECK(map->slots[0] == 0);
  CHECK(map->slots[100] == 0);
  CHECK(map->slots[101] == RedisView::unserved);
  CHECK(map->slots[199] == RedisView::unserved);
  CHECK(map->slots[200] == 1);
  CHECK(map->slots[16383] == 1);

  CHECK_FALSE(read_cluster_map(text("cluster_state:fail\r\n"), list({range(0, 1, node(text("a"), 1))}), asked)->is_ok);
  CHECK_FALSE(read_cluster_map(text("xcluster_state:ok"), list({range(0, 1, node(text("a"), 1))}), asked)->is_ok);
}

TEST_CASE("a node without a host of its own has that of the node asked, or its IP where it lacks a name") {
  const RedisReply ip = list({text("ip"), text("10.0.0.7")});
  const struct {
    RedisReply node;
    const char* address;
  } rows[] = {
      {node(nil, 1), "asked:1"},
      {node(text(""), 1), "asked:1"},
      {node(text("?"), 1, ip), "10.0.0.7:1"},
      {node(text("?"), 1), "asked:1"},
      {node(text("::1"), 65535), "[::1]:65535"},
      {list({text("short"), number(3)}), "short:3"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.address);
    const auto map = read_cluster_map(well, list({range(0, 1, row.node)}), asked);
    REQUIRE(map);
    CHECK(map->masters[0].to_string() == row.address);
  }
}

TEST_CASE("a cluster's map that makes no sense is none") {
  const RedisReply good = node(text("a"), 1);
  const RedisReply bad[] = {
      nil,
      text("OK"),
      list({}),
      list({text("x")}),
      list({list({number(0), number(1)})}),
      list({range(-1, 1, good)}),
      list({range(2, 1, good)}),
      list({range(0, 16384, good)}),
      list({list({text("0"), number(1), good})}),
      list({range(0, 1, list({}))}),
      list({range(0, 1, node(text("a"), 0))}),
      list({range(0, 1, node(text("a"), 65536))}),
      list({range(0, 1, node(text("a b"), 1))}),
      list({range(0, 1, node(text("a\r\n"), 1))}),
      list({range(0, 1, list({text("a"), text("1")}))}),
      list({range(0, 1, good), range(2, 3, nil)}),
  };
  for (const RedisReply& slots : bad) CHECK_FALSE(read_cluster_map(well, slots, asked));
  CHECK_FALSE(read_cluster_map(nil, list({range(0, 1, good)}), asked));
  std::vector<RedisReply> many;
  for (int i = 0; i < 1025; ++i) many.push_back(range(i, i, node(text("a"), i + 1)));
  CHECK_FALSE(read_cluster_map(well, list(many), asked));
  many.pop_back();
  CHECK(read_cluster_map(well, list(many), asked));
}

TEST_CASE("a sentinel's master is an address and the epoch of its failover") {
  const RedisReply fields = list({text("name"), text("m"), text("config-epoch"), text("7"), text("odd one out")});
  const auto found = read_named_master(list({text("10.0.0.1"), text("6379")}), fields);
  REQUIRE(found);
  CHECK(found->address.to_string() == "10.0.0.1:6379");
  CHECK(found->epoch == 7);
  const RedisReply address = list({text("h"), text("1")});
  CHECK(read_named_master(address, fields));
  CHECK_FALSE(read_named_master(nil, fields));
  CHECK_FALSE(read_named_master(address, RedisReply{Type::error, "ERR No such master with that name", 0, {}}));
  CHECK_FALSE(read_named_master(address, list({text("name"), text("m")})));
  CHECK_FALSE(read_named_master(list({text("h")}), fields));
  CHECK_FALSE(read_named_master(list({text("h"), text("0")}), fields));
  CHECK_FALSE(read_named_master(list({text("h"), text("x")}), fields));
  CHECK_FALSE(read_named_master(list({text(""), text("1")}), fields));
  CHECK_FALSE(read_named_master(list({text("a b"), text("1")}), fields));
}

TEST_CASE("which copy of the data a server has is told by its replication id") {
  const std::string id(40, 'a');
  const std::uint64_t copy = copy_of(text("# Replication\r\nrole:master\r\nmaster_replid:" + id + "\r\n"));
  CHECK(copy != 0);
  CHECK(copy ==
        copy_of(text("role:slave\r\nmaster_replid:" + id + "\r\nmaster_replid2:" + std::string(40, 'b') + "\r\n")));
  CHECK(copy != copy_of(text("master_replid:" + std::string(40, 'b') + "\r\n")));
  for (const RedisReply& none : {nil, number(1), list({}), text("role:master\r\n"), text("")})
    CHECK(copy_of(none) == 0);
  CHECK(copy_of({Type::error, "master_replid:" + id, 0, {}}) == 0);
}
