#include "support/redis_server.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <sstream>

namespace pillion::support {

std::string RedisReply::to_string() const {
  switch (type) {
    case Type::simple:
      return text;
    case Type::error:
      return "(error) " + text;
    case Type::integer:
      return std::to_string(integer);
    case Type::bulk:
      return "\"" + text + "\"";
    case Type::null:
      return "(nil)";
    case Type::array:
      break;
  }
  std::string out = "[";
  for (const auto& element : elements) out += (out.size() > 1 ? ", " : "") + element.to_string();
  return out + "]";
}

RedisReply RedisClient::command(const std::vector<std::string>& arguments, Deadline deadline) {
  std::string out = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const auto& a : arguments) out += "$" + std::to_string(a.size()) + "\r\n" + a + "\r\n";
  stream_.write(out, deadline);
  return read_reply(deadline, 0);
}

RedisReply RedisClient::read_reply(Deadline deadline, int depth) {
  std::string line = stream_.read_until("\r\n", deadline);
  line.resize(line.size() - 2);
  if (line.empty() || depth > 8) throw std::runtime_error("not a Redis reply");
  RedisReply reply;
  std::string rest = line.substr(1);
  long number = std::strtol(rest.c_str(), nullptr, 10);
  switch (line[0]) {
    case '+':
      return {RedisReply::Type::simple, rest, 0, {}};
    case '-':
      return {RedisReply::Type::error, rest, 0, {}};
    case ':':
      return {RedisReply::Type::integer, {}, number, {}};
    case '$':
      if (number < 0) return reply;
      reply.type = RedisReply::Type::bulk;
      reply.text = stream_.read_exactly(static_cast<std::size_t>(number) + 2, deadline);
      reply.text.resize(static_cast<std::size_t>(number));
      return reply;
    case '*':
      if (number < 0) return reply;
      reply.type = RedisReply::Type::array;
      for (long i = 0; i < number; ++i) reply.elements.push_back(read_reply(deadline, depth + 1));
      return reply;
    default:
      throw std::runtime_error("not a Redis reply: " + line);
  }
}

std::vector<std::string> RedisClient::keys(const std::string& pattern) {
  std::vector<std::string> out;
  for (auto& element : command({"KEYS", pattern}).elements) out.push_back(std::move(element.text));
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> RedisUser::arguments() const {
  std::vector<std::string> out{"--user", name, "on", ">" + password};
  out.insert(out.end(), rules.begin(), rules.end());
  return out;
}

RedisUser pillion_user(const std::string& ns) {
  RedisUser user{"pillion", "s3cret", {}};
  constexpr std::string_view begin = "ACL SETUSER pillion on >";
  std::istringstream readme(read_file(std::string(PILLION_SOURCE_FOLDER) + "/README.md"));
  for (std::string line; std::getline(readme, line);) {
    auto at = line.find(begin);
    if (at == std::string::npos) continue;
    std::istringstream words(line.substr(at + begin.size()));
    std::string word;
    words >> word;  // the password
    while (words >> word) user.rules.push_back(word == "~*" ? "~" + ns + "*" : word);
    return user;
  }
  user.rules = {"~" + ns + "*", "&*", "+@all"};
  return user;
}

RedisUser pillion_user_for(std::string_view purpose) {
  RedisUser user = pillion_user();
  const std::string readme = read_file(std::string(PILLION_SOURCE_FOLDER) + "/README.md");
  // ... `+rule +rule` PURPOSE ...
  const auto end = readme.find("` " + std::string(purpose), readme.find("ACL SETUSER pillion on >"));
  const auto begin = readme.rfind('`', end == std::string::npos ? end : end - 1);
  if (end == std::string::npos || readme[begin + 1] != '+')
    throw std::runtime_error("the README adds no rules " + std::string(purpose));
  std::istringstream words(readme.substr(begin + 1, end - begin - 1));
  for (std::string word; words >> word;) user.rules.push_back(word);
  return user;
}

RedisServer::RedisServer(RedisOptions options) : options_(std::move(options)) {
  for (const auto& [name, content] : options_.files) folder_.write(name, content);
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = options_.port != 0 ? options_.port : free_port();
    if (launch()) return;
    if (options_.port != 0) break;
  }
  throw std::runtime_error("redis-server did not start: " + process_->out());
}

RedisServer::~RedisServer() {
  if (process_) process_->signal(SIGKILL);
}

bool RedisServer::launch() {
  ProcessOptions options;
  options.arguments = {"redis-server",
                       "--port",
                       std::to_string(port_),
                       "--bind",
                       "127.0.0.1",
                       "--save",
                       "",
                       "--dir",
                       folder_.path().string(),
                       "--appendonly",
                       options_.persistent ? "yes" : "no",
                       "--appendfsync",
                       "always"};
  if (options_.unix_socket) options.arguments.insert(options.arguments.end(), {"--unixsocket", unix_path()});
  options.arguments.insert(options.arguments.end(), options_.arguments.begin(), options_.arguments.end());
  if (options_.user) {
    auto user = options_.user->arguments();
    options.arguments.insert(options.arguments.end(), user.begin(), user.end());
  }
  process_ = std::make_unique<Process>(std::move(options));
  try {
    process_->wait_for_out_line("Ready to accept connections");
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

Endpoint RedisServer::endpoint() const { return {"127.0.0.1", port_, {}}; }
std::string RedisServer::url_of(const Endpoint& relay, int database) const {
  std::string login = options_.user ? options_.user->name + ":" + options_.user->password + "@" : "";
  return "redis://" + login + relay.to_string() + "/" + std::to_string(database);
}

void RedisServer::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait()) throw std::runtime_error("redis-server did not stop");
}
void RedisServer::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}
void RedisServer::start() {
  if (!launch()) throw std::runtime_error("redis-server did not start again: " + process_->out());
}
void RedisServer::pause() { process_->signal(SIGSTOP); }
void RedisServer::resume() { process_->signal(SIGCONT); }

RedisReply RedisServer::command(const std::vector<std::string>& arguments) const {
  return RedisClient(endpoint()).command(arguments);
}
bool RedisServer::wait_for_replicas(int n, Milliseconds time) const {
  RedisClient client(endpoint());
  // WAIT waits for what the connection has written, and to a replica that has only just had its copy nothing is written
  // for up to a second: what is published goes to replicas too, and changes nothing.
  client.command({"PUBLISH", "in-step", ""});
  return client.command({"WAIT", std::to_string(n), std::to_string(time.count())}, Deadline(time + 1s)).integer >= n;
}
std::vector<std::string> RedisServer::keys(const std::string& pattern) const {
  return RedisClient(endpoint()).keys(pattern);
}

}  // namespace pillion::support
