// The promise that invalidations make, held against random histories of readers, writers and faults: three real
// replicas, a real Redis, and an upstream whose every answer is numbered (product contract, section 4).
//
// PILLION_HISTORY_SEED runs one again; PILLION_HISTORY_SECONDS says for how long each test case goes on.
#include <csignal>

#include "integration.hpp"
#include "support/world.hpp"

namespace {

constexpr Milliseconds short_run{2000};
/// A world lives this long at most: then the next, with the next seed, so that what is recorded stays bounded.
constexpr Milliseconds one_world{10000};

using Faults = std::function<void(World&, RedisServer&)>;

/// A history in which nothing was reused, or nobody acknowledged, shows nothing.
bool shows_something(const WorldOptions& options, std::map<history::Rule, long>& tried,
                     std::map<std::string, long>& answers) {
  using history::Rule;
  return (answers["hit memory"] > 0 || options.store.find("memory: off") != std::string::npos) &&
         answers["hit redis"] > 0 && tried[Rule::this_replica] > 0 && tried[Rule::acknowledged] > 0 &&
         tried[Rule::earlier_in_log] > 0;
}

/// Worlds one after another until the time is over, each with faults as they come; on a busy machine, until there was
/// enough to judge.
void run_histories(const std::string& name, const WorldOptions& options, const Faults& fault) {
  Deadline end(history_time(short_run)), at_last(history_time(short_run) + 60s);
  std::map<history::Rule, long> tried;
  std::map<std::string, long> answers;
  Totals totals;
  for (std::uint64_t seed = history_seed();; ++seed) {
    RedisServer redis({.arguments = {}, .user = pillion_user_for("with `collapse: fleet`")});
    WorldOptions mine = options;
    mine.seed = seed;
    World world(redis, mine);
    Deadline until(std::clamp(Milliseconds(end.left()), short_run, one_world));
    while (!until.passed()) {
      world.let_some_pass();
      fault(world, redis);
    }
    for (int i = 0; i < world.fleet().size(); ++i) world.fleet().relay(i).delay(0ms);
    World::Outcome outcome = world.finish();
    judge("history: " + name, seed, outcome);
    totals.add(outcome);
    for (const auto& [rule, n] : outcome.coverage) tried[rule] += n;
    for (const auto& [kind, n] : outcome.answers) answers[kind] += n;
    if (!outcome.violations.empty() || outcome.failed > 0 || at_last.passed()) break;
    if (end.passed() && shows_something(options, tried, answers)) break;
  }
  totals.print("history: " + name);
  CHECK(shows_something(options, tried, answers));
}

void cut_one_off(World& world) {
  int victim = world.below(world.fleet().size());
  switch (world.below(4)) {
    case 0:  // too short to be noticed, or nearly
      world.fleet().relay(victim).blackhole();
      world.let_pass(world.below(50));
      world.fleet().relay(victim).resume();
      break;
    case 1:
      world.fleet().relay(victim).hold_replies();
      world.let_some_pass();
      world.fleet().relay(victim).heal();
      break;
    case 2:
      world.cut_off(victim, false, [&] { world.let_some_pass(); });
      break;
    default:
      world.cut_off(victim, true, [&] { world.let_some_pass(); });
  }
}

/// Something is set while some answers pass, and then as it was.
void for_a_while(World& world, RedisServer& redis, const std::vector<std::string>& set,
                 const std::vector<std::string>& back) {
  CHECK_FALSE(redis.command(set).is_error());
  world.let_some_pass();
  CHECK_FALSE(redis.command(back).is_error());
}

/// One of these; the last only where no process is started: one that begins while the older log is back and nobody has
/// noticed it yet can't know what it lacks.
void hurt_redis(World& world, RedisServer& redis, int ways = 11) {
  switch (world.below(ways)) {
    case 0:
      redis.kill();
      world.let_some_pass();
      redis.start();
      break;
    case 1:
      redis.pause();
      world.let_some_pass();
      redis.resume();
      break;
    case 2:
      redis.command({"FLUSHALL"});
      break;
    case 3:
      redis.command({"DEL", "pillion:log"});
      break;
    case 4:
      redis.command({"XTRIM", "pillion:log", "MAXLEN", std::to_string(world.below(4))});
      break;
    case 5:
      redis.command({"CLIENT", "KILL", "TYPE", world.below(2) == 0 ? "normal" : "pubsub"});
      break;
    case 6:  // full, and it evicts what it likes, the log too
      redis.command({"CONFIG", "SET", "maxmemory-policy", "allkeys-random"});
      for_a_while(world, redis, {"CONFIG", "SET", "maxmemory", "2mb"}, {"CONFIG", "SET", "maxmemory", "0"});
      break;
    case 7:  // full, and it takes nothing
      redis.command({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
      for_a_while(world, redis, {"CONFIG", "SET", "maxmemory", "1"}, {"CONFIG", "SET", "maxmemory", "0"});
      break;
    case 8:  // a replica of nobody: it answers, and takes nothing
      for_a_while(world, redis, {"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"});
      break;
    case 9:
      redis.command({"CLIENT", "PAUSE", std::to_string(world.below(300)), world.below(2) == 0 ? "WRITE" : "ALL"});
      world.let_some_pass();
      break;
    default:  // another log for a while, and then the older one with what was stored beside it
      world.losing([&] { for_a_while(world, redis, {"SWAPDB", "0", "1"}, {"SWAPDB", "0", "1"}); });
  }
}

void hurt_a_replica(World& world) {
  int victim = world.below(world.fleet().size());
  if (world.below(2) == 0) {
    world.crash_and_restart(victim, [&] { world.let_some_pass(); });
    return;
  }
  Process& process = world.fleet()[victim].process();
  process.signal(SIGSTOP);
  world.let_some_pass();
  process.signal(SIGCONT);
}

}  // namespace

TEST_CASE("history: with nothing in the way, and responses deleted in Redis by hand") {
  run_histories("calm", {.deletes = true}, [](World& world, RedisServer&) { world.let_some_pass(); });
}

TEST_CASE("history: replicas are cut off from Redis and come back") {
  run_histories("cut off", {}, [](World& world, RedisServer&) { cut_one_off(world); });
}

TEST_CASE("history: Redis dies and comes back empty, pauses, loses its log or a part of it") {
  run_histories("Redis hurt", {}, [](World& world, RedisServer& redis) { hurt_redis(world, redis); });
}

TEST_CASE("history: replicas are killed and started again, or stopped for a while") {
  run_histories("replicas hurt", {}, [](World& world, RedisServer&) { hurt_a_replica(world); });
}

TEST_CASE("history: all of these in one") {
  run_histories("all", {}, [](World& world, RedisServer& redis) {
    int dice = world.below(3);
    dice == 0 ? cut_one_off(world) : dice == 1 ? hurt_redis(world, redis, 10) : hurt_a_replica(world);
  });
}

TEST_CASE("history: each connection to Redis is slow in its own way") {
  run_histories("slow unevenly", {}, [](World& world, RedisServer&) {
    Relay& relay = world.fleet().relay(world.below(3));
    world.below(3) == 0 ? relay.delay(0ms) : relay.delay_unevenly(Milliseconds(2 + world.below(30)));
    world.let_some_pass();
  });
}

TEST_CASE("history: Redis is the only place where responses stand, and replicas are cut off from it") {
  run_histories("without memory", {.store = "  memory: off\n"}, [](World& world, RedisServer&) {
    world.let_some_pass();
    cut_one_off(world);
  });
}

TEST_CASE("history: it would be found if replicas were said to have heard what they have not") {
  bool found = false;
  for (int attempt = 0; attempt < 20 && !found; ++attempt) {
    RedisServer redis;
    World world(redis, {.seed = history_seed() + static_cast<std::uint64_t>(attempt), .believe_all_heard = true});
    world.let_pass(300);
    world.cut_off(world.below(3), true, [&] { world.let_pass(2000); });
    World::Outcome outcome = world.finish();
    CHECK(outcome.failed == 0);
    for (const auto& violation : outcome.violations) {
      found = true;
      CHECK((violation.rule == history::Rule::acknowledged || violation.rule == history::Rule::earlier_in_log));
    }
  }
  CHECK(found);
}
