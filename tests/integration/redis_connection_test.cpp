// RedisConnection and RedisStore before a real redis-server, and before a scripted one for what a real one doesn't do.
#include "net/redis_connection.hpp"

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "core/hash.hpp"
#include "integration/redis_worker.hpp"
#include "store/redis_store.hpp"

using namespace redis_tests;

namespace {

/// Answers everything with +OK until the other side closes.
void serve_ok(Stream& s) {
  greet(s);
  for (;;) {
    s.read_until("\r\nx\r\n");  // commands of these tests end in an argument x
    s.write("+OK\r\n");
  }
}

void wait_for_close(Stream& s) {
  greet(s);
  s.read_to_end();
}

}  // namespace

TEST_CASE("commands are binary-safe and concurrent ones get their own replies") {
  RedisServer redis;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  const std::string key("k\0\r\n", 4), value("$3\r\n\0v", 6);
  CHECK(worker.ask({"SET", key, value}).text == "OK");
  CHECK(worker.ask({"GET", key}).text == value);
  CHECK(worker.ask({"GET", "absent"}).type == Type::nil);
  const auto wrong = worker.ask({"INCR", key});
  CHECK(wrong.type == Type::error);
  CHECK(!wrong.ok());
  CHECK(worker.ask({"LRANGE", "absent", "0", "-1"}).type == Type::array);

  std::vector<std::optional<RedisReply>> replies(500);
  for (auto& reply : replies) worker.send({"INCR", "n"}, reply);
  REQUIRE(worker.until([&] { return replies.back().has_value(); }));
  for (std::size_t i = 0; i < replies.size(); ++i) {
    REQUIRE(replies[i]);
    CHECK(replies[i]->integer == static_cast<std::int64_t>(i + 1));
  }
  CHECK(worker.counters.redis_seconds.count() == 505);
  CHECK(worker.counters.redis_errors.get() == 1);
  CHECK(worker.counters.redis_timeouts.get() == 0);
}

TEST_CASE("it logs in, selects the database and says its name, over a Unix socket too") {
  support::TempDir folder;
  const std::string path = (folder.path() / "redis.sock").string();
  RedisServer redis({{"--requirepass", "secret word", "--unixsocket", path}});
  for (const bool unix_socket : {false, true}) {
    CAPTURE(unix_socket);
    Endpoint at = redis.endpoint();
    if (unix_socket) at.unix_path = path;
    auto settings = settings_for(at);
    settings.password = "secret word";
    if (unix_socket) settings.user = "default";
    settings.database = 3;
    Worker worker(settings);
    REQUIRE(worker.up());
    const auto info = worker.ask({"CLIENT", "INFO"});
    CHECK(info.text.find("name=pillion ") != std::string::npos);
    CHECK(info.text.find(" db=3 ") != std::string::npos);
  }
}

TEST_CASE("a refused login or a loading server is not up, says so once, and never says the password") {
  struct Row {
    const char* what;
    std::string auth_reply, ping_reply, said;
  };
  const Row rows[] = {
      {"wrong password", "-WRONGPASS invalid username-password pair\r\n", "-NOAUTH Authentication required.\r\n",
       "AUTH refused: WRONGPASS"},
      {"quoting", "-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n", "+PONG\r\n",
       "AUTH refused: ERR"},
      {"loading", "+OK\r\n", "-LOADING Redis is loading hunter2\r\n", "not ready: LOADING Redis is loading ***"},
      {"no master", "+OK\r\n", "-MASTERDOWN Link with MASTER is down\r\n", "not ready: MASTERDOWN"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    std::atomic<int> tries{0};
    FakeRedis redis({[&](Stream& s) {
      s.read_until("PING\r\n");
      s.write(row.auth_reply + "+OK\r\n" + row.ping_reply);
      ++tries;
      s.read_to_end();
    }});
    StderrCapture err;
    auto settings = settings_for(redis.endpoint());
    settings.password = "hunter2";
    Worker worker(settings);
    CHECK(worker.until([&] { return tries >= 3; }));
    CHECK(!worker.connection->is_up());
    CHECK(worker.ups == 0);
    CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
    CHECK(err.lines_with("warn redis") == 1);
    CHECK(err.text().find(row.said) != std::string::npos);
    CHECK(err.text().find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a real server's wrong password is not up, and works once the server accepts it") {
  RedisServer redis({{"--requirepass", "one"}});
  auto settings = settings_for(redis.endpoint());
  settings.password = "two";
  Worker worker(settings);
  REQUIRE(worker.until([&] { return worker.counters.redis_errors.get() >= 2; }));
  CHECK(!worker.connection->is_up());
  support::RedisClient client(redis.endpoint());
  client.command({"AUTH", "one"});
  client.command({"CONFIG", "SET", "requirepass", "two"});
  CHECK(worker.up());
}

TEST_CASE("killed and started again, Redis is used again by itself, with a line each time") {
  RedisServer redis;
  StderrCapture err;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  redis.kill();
  REQUIRE(worker.until([&] { return !worker.connection->is_up(); }));
  const auto started = std::chrono::steady_clock::now();
  CHECK(worker.ask({"GET", "k"}).text == "not connected to Redis");
  CHECK(std::chrono::steady_clock::now() - started < 40ms);
  CHECK(worker.counters.redis_skipped.get() == 1);
  const auto failures = worker.counters.redis_errors.get();
  REQUIRE(worker.until([&] { return worker.counters.redis_errors.get() > failures + 3; }));
  redis.start();
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "v"}).text == "OK");
  CHECK(worker.ups == 2);
  CHECK(err.lines_with(": up") == 2);
  CHECK(err.lines_with(": down") == 1);
}

TEST_CASE("it starts before Redis does") {
  const support::Fd bound = support::bind_loopback(0, -1);
  Worker worker(settings_for({"127.0.0.1", support::port_of(bound), {}}));
  CHECK(worker.until([&] { return worker.counters.redis_errors.get() >= 2; }));
  CHECK(!worker.connection->is_up());
}

TEST_CASE("a name that doesn't resolve is a failure like others") {
  Worker worker(settings_for({"no-such-host.invalid", 6379, {}}));
  CHECK(worker.until([&] { return worker.counters.redis_errors.get() >= 1; }));
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
}

TEST_CASE("a paused Redis costs the budget five times, then nothing, and is used again when it answers a probe") {
  RedisServer redis;
  StderrCapture err;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  redis.pause();
  for (int i = 0; i < 5; ++i) {
    const auto started = std::chrono::steady_clock::now();
    const auto reply = worker.ask({"SET", "k" + std::to_string(i), "v"});
    CHECK(reply.type == Type::unavailable);
    CHECK(std::chrono::steady_clock::now() - started >= 50ms);
    CHECK(std::chrono::steady_clock::now() - started < 500ms);
  }
  CHECK(!worker.connection->is_up());
  CHECK(worker.counters.redis_timeouts.get() == 5);
  const auto started = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
  CHECK(std::chrono::steady_clock::now() - started < 1s);
  CHECK(worker.counters.redis_skipped.get() == 100);
  redis.resume();
  REQUIRE(worker.up());
  // The connection stayed: the five late replies were dropped, this one is the right one.
  CHECK(worker.ask({"GET", "k3"}).text == "v");
  CHECK(worker.ups == 2);
  CHECK(err.lines_with(": down") == 1);
  CHECK(worker.counters.redis_errors.get() == 0);
}

TEST_CASE("a connection without a byte for two seconds is closed, and one paused for long comes back") {
  RedisServer redis;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  redis.pause();
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
  const auto started = std::chrono::steady_clock::now();
  REQUIRE(worker.until([&] { return !worker.connection->is_up(); }));
  CHECK(std::chrono::steady_clock::now() - started > 1500ms);
  redis.resume();
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "v"}).text == "OK");
}

TEST_CASE("a late reply is dropped in order") {
  support::Gate late;
  FakeRedis redis({[&](Stream& s) {
    greet(s);
    s.read_until("first\r\n");
    late.wait();
    s.write("+answer to first\r\n");
    s.read_until("second\r\n");
    s.write("+answer to second\r\n");
    s.read_to_end();
  }});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  CHECK(worker.ask({"GET", "first"}, 10ms).text == "no reply from Redis within the budget");
  late.open();
  CHECK(worker.ask({"GET", "second"}, 5000ms).text == "answer to second");
  CHECK(worker.connection->is_up());
}

TEST_CASE("late replies don't close the breaker, the answer to a probe does") {
  support::Gate late, probed;
  FakeRedis redis({[&](Stream& s) {
    greet(s);
    for (int i = 0; i < 5; ++i) s.read_until("\r\nx\r\n");
    late.wait();
    for (int i = 0; i < 5; ++i) s.write("+OK\r\n");
    s.read_until("PING\r\n");
    probed.open();
    s.write("+PONG\r\n");
    s.read_to_end();
  }});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  std::vector<std::optional<RedisReply>> replies(5);
  for (auto& reply : replies) worker.send({"GET", "x"}, reply);
  REQUIRE(worker.until([&] { return replies.back().has_value(); }));
  CHECK(!worker.connection->is_up());
  late.open();
  REQUIRE(worker.until([&] { return worker.counters.redis_seconds.count() == 5; }));
  CHECK(!worker.connection->is_up());
  REQUIRE(worker.up());
  CHECK(probed.is_open());
}

TEST_CASE("a command's budget runs to the first byte of its reply") {
  support::Gate rest;
  FakeRedis redis({[&](Stream& s) {
    greet(s);
    s.read_until("slow\r\n");
    s.write("$10\r\n01234");
    rest.wait();
    s.write("56789\r\n");
    s.read_to_end();
  }});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  std::optional<RedisReply> first, second;
  worker.send({"GET", "slow"}, first, 300ms);
  worker.send({"GET", "behind"}, second, 400ms);
  REQUIRE(worker.until([&] { return second.has_value(); }));
  CHECK(second->type == Type::unavailable);
  CHECK(!first);
  rest.open();
  REQUIRE(worker.until([&] { return first.has_value(); }));
  CHECK(first->text == "0123456789");
}

TEST_CASE("what is not Redis, or says too much, is dropped and connected to again") {
  struct Row {
    const char* what;
    std::string reply;
    std::string said;
  };
  const Row rows[] = {
      {"garbage", "HTTP/1.1 400 Bad Request\r\n", "not the Redis protocol"},
      {"a reply to nothing", "+OK\r\n+OK\r\n", "a reply to nothing"},
      {"a push message", ">2\r\n+a\r\n+b\r\n", "not the Redis protocol"},
      {"a reply over the bound", "$100000\r\n" + std::string(90'000, 'x'), "too many bytes"},
      {"nested too deeply", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "nested"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    FakeRedis redis({[&](Stream& s) {
                       greet(s);
                       s.read_until("\r\nx\r\n");
                       s.write(row.reply);
                       s.read_to_end();
                     },
                     serve_ok});
    StderrCapture err;
    Worker worker(settings_for(redis.endpoint()), 64u << 10);
    REQUIRE(worker.up());
    const auto reply = worker.ask({"GET", "x"}, 5000ms);
    CHECK((reply.type == Type::unavailable || reply.text == "OK"));
    REQUIRE(worker.until([&] { return worker.ups == 2; }));
    CHECK(worker.ask({"GET", "x"}, 5000ms).text == "OK");
    CHECK(err.text().find(row.said) != std::string::npos);
  }
}

TEST_CASE("a reset in the middle of a reply is no reply") {
  FakeRedis redis({[&](Stream& s) {
                     greet(s);
                     s.read_until("\r\nx\r\n");
                     s.write("$10\r\n01234");
                     s.reset();
                   },
                   serve_ok});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  CHECK(worker.ask({"GET", "x"}, 5000ms).text == "the connection to Redis was lost");
  CHECK(worker.up());
}

TEST_CASE("one that is accepted and cut at once is not tried again and again") {
  std::atomic<int> connections{0};
  FakeRedis redis({[&](Stream& s) {
    ++connections;
    greet(s);
  }});
  Worker worker(settings_for(redis.endpoint()));
  worker.until([] { return false; }, Deadline(1s));
  CHECK(connections >= 2);
  CHECK(connections < 12);
}

TEST_CASE("no more than 1024 commands are in flight") {
  FakeRedis redis({wait_for_close});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  std::vector<std::optional<RedisReply>> replies(1025);
  for (auto& reply : replies) worker.send({"GET", "k"}, reply, 1500ms);
  REQUIRE(worker.until([&] { return replies.back().has_value(); }));
  CHECK(replies.back()->text == "too many commands in flight to Redis");
  CHECK(!replies.front());
}

TEST_CASE("ending it while replies are outstanding answers everyone") {
  FakeRedis redis({wait_for_close});
  for (const bool destroy : {false, true}) {
    CAPTURE(destroy);
    Worker worker(settings_for(redis.endpoint()));
    REQUIRE(worker.up());
    std::vector<std::optional<RedisReply>> replies(10);
    for (auto& reply : replies) worker.send({"GET", "k"}, reply, 5000ms);
    bool sent = false;
    asio::post(worker.io, [&] { sent = true; });
    REQUIRE(worker.until([&] { return sent; }));
    if (destroy)
      worker.connection.reset();
    else
      worker.connection->stop();
    REQUIRE(worker.until([&] { return replies.back().has_value(); }));
    for (const auto& reply : replies) CHECK(reply->text == "stopped");
    if (!destroy) CHECK(worker.ask({"GET", "k"}).text == "stopped");
    worker.connection.reset();
    worker.io.run_for(10s);
    CHECK(worker.io.stopped());  // nothing is left to do
  }
}

TEST_CASE("the loop may end first, with replies outstanding") {
  FakeRedis redis({wait_for_close});
  std::optional<RedisReply> reply;
  {
    Worker worker(settings_for(redis.endpoint()));
    REQUIRE(worker.up());
    worker.send({"GET", "k"}, reply, 5000ms);
    worker.io.run_one_for(1s);
    worker.io.run_one_for(1s);
  }
  CHECK(!reply);
}

TEST_CASE("callers may own the connection that they wait for: a loop that ends before it answers them frees both") {
  FakeRedis redis({wait_for_close});
  std::weak_ptr<RedisConnection> connection;
  int answered = 0;
  {
    Loop loop;
    const auto made = std::make_shared<RedisConnection>(loop.io.get_executor(), settings_for(redis.endpoint()),
                                                        1u << 20, loop.counters, loop.log);
    connection = made;
    REQUIRE(loop.until([&] { return made->is_up(); }));
    for (int i = 0; i < 3; ++i) {
      asio::co_spawn(
          loop.io,
          [](std::shared_ptr<RedisConnection> owned, int& told) -> asio::awaitable<void> {
            co_await owned->command({"GET", "k"}, 5000ms);
            ++told;
          }(made, answered),
          [](std::exception_ptr failed) { CHECK(!failed); });
    }
    bool sent = false;
    asio::post(loop.io, [&] { sent = true; });
    REQUIRE(loop.until([&] { return sent; }));
    made->stop();
  }
  CHECK(answered == 0);
  CHECK(connection.expired());
}

TEST_CASE("who gets the first of several replies may stop it: the others have theirs all the same") {
  RedisServer redis;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  bool first = false;
  asio::co_spawn(
      worker.io,
      [&]() -> asio::awaitable<void> {
        first = (co_await worker.connection->command({"INCR", "n"}, 5000ms)).integer == 1;
        worker.connection->stop();
      },
      [](std::exception_ptr failed) { CHECK(!failed); });
  std::vector<std::optional<RedisReply>> replies(10);
  for (auto& reply : replies) worker.send({"INCR", "n"}, reply, 5000ms);
  REQUIRE(worker.until([&] { return replies.back().has_value(); }));
  CHECK(first);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    REQUIRE(replies[i]);
    const bool came = replies[i]->integer == static_cast<std::int64_t>(i + 2);
    CHECK((came || replies[i]->text == "stopped"));
  }
}

TEST_CASE("a caller may be cancelled while it waits") {
  FakeRedis redis({wait_for_close});
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  asio::cancellation_signal signal;
  std::optional<RedisReply> reply;
  bool sent = false, ended = false;
  asio::co_spawn(
      worker.io,
      [&]() -> asio::awaitable<void> {
        asio::post(worker.io, [&] { asio::post(worker.io, [&] { sent = true; }); });
        reply = co_await worker.connection->command({"GET", "k"}, 5000ms);
      },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  REQUIRE(worker.until([&] { return sent; }));
  CHECK(!reply);
  signal.emit(asio::cancellation_type::terminal);
  REQUIRE(worker.until([&] { return ended; }, Deadline(2s)));
  if (reply) CHECK(reply->text == "cancelled");
}

TEST_CASE("a full Redis refuses writes, counts them, and goes on answering reads") {
  RedisServer redis({{"--maxmemory", "2mb", "--maxmemory-policy", "noeviction"}});
  StderrCapture err;
  Worker worker(settings_for(redis.endpoint()));
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "v"}).text == "OK");
  std::size_t refused = 0;
  for (int i = 0; i < 50; ++i) {
    const auto reply = worker.ask({"SET", "big" + std::to_string(i), std::string(200'000, 'x')}, 1000ms);
    if (reply.type == Type::error) {
      CHECK(reply.text.substr(0, 4) == "OOM ");
      ++refused;
    }
  }
  CHECK(refused > 20);
  CHECK(worker.counters.redis_errors.get() == refused);
  CHECK(err.lines_with("a command was refused: OOM") == 1);
  CHECK(worker.connection->is_up());
  CHECK(worker.ask({"GET", "k"}).text == "v");
}

TEST_CASE("the store's entries have readable names, a lifetime, and nothing wrong is a hit") {
  RedisServer redis;
  auto settings = settings_for(redis.endpoint());
  settings.key_namespace = "shop:";
  settings.max_object = 10'000;
  ClientWorker worker(settings);
  const SharedClock clock;
  RedisStore store(*worker.connection, settings, clock);
  CHECK(!store.is_up("character:7:abc"));
  REQUIRE(worker.up());
  const Now now{1'700'000'000'000, 5'000};
  const std::string body(5'000, 'b');
  StoredParts parts;
  parts.meta.status = 200;
  parts.meta.received_wall_ms = now.wall_ms;
  parts.meta.received_mono_ms = now.mono_ms;
  parts.primary_key = "GET-less key";
  parts.readable_key = "character:7:abc";
  parts.head = "HTTP/1.1 200 OK\r\n";
  parts.body = body;
  const auto response = StoredResponse::make(parts);
  const auto find = [&] { return worker.result(store.find("character:7:abc", "GET-less key", now, 9)); };

  CHECK(find() == nullptr);
  CHECK(worker.result(store.store(response, 0)) != RedisStore::Stored::yes);
  CHECK(worker.result(store.store(response, -5)) != RedisStore::Stored::yes);
  CHECK(redis.keys().empty());
  REQUIRE(worker.result(store.store(response, 60'000)) == RedisStore::Stored::yes);
  CHECK(redis.keys() == std::vector<std::string>{"shop:character:7:abc"});
  const auto left = redis.command({"PTTL", "shop:character:7:abc"}).integer;
  CHECK(left > 30'000);
  CHECK(left <= 60'000);
  const auto found = find();
  REQUIRE(found);
  CHECK(found->body() == body);
  CHECK(found->position() == 9);
  CHECK(worker.result(store.find("character:7:abc", "another key", now, 9)) == nullptr);

  const std::string large(10'000, 'x');
  parts.body = large;
  CHECK(worker.result(store.store(StoredResponse::make(parts), 60'000)) != RedisStore::Stored::yes);

  std::string value = redis.command({"GET", "shop:character:7:abc"}).text;
  value[value.size() / 2] = static_cast<char>(value[value.size() / 2] ^ 1);
  redis.command({"SET", "shop:character:7:abc", value});
  CHECK(find() == nullptr);
  redis.command({"SET", "shop:character:7:abc", ""});
  CHECK(find() == nullptr);
  redis.command({"DEL", "shop:character:7:abc"});
  redis.command({"LPUSH", "shop:character:7:abc", "x"});
  CHECK(find() == nullptr);
  redis.kill();
  CHECK(find() == nullptr);
  CHECK(worker.result(store.store(response, 60'000)) != RedisStore::Stored::yes);
}
