#include "tests/support/tpm_tap.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>

namespace devid::test {
namespace {

using Frame = std::vector<std::uint8_t>;

constexpr std::size_t header_size = 10;  // tag, size, code: TPM 2.0 Part 1, 18.2
constexpr std::size_t largest_frame = 4096;
constexpr std::uint32_t retry_code = 0x922;

std::uint32_t number_at(const Frame& frame, std::size_t at) {
  if (frame.size() < at + 4) return 0;
  return (std::uint32_t{frame[at]} << 24U) | (std::uint32_t{frame[at + 1]} << 16U) |
         (std::uint32_t{frame[at + 2]} << 8U) | frame[at + 3];
}

std::uint32_t code_of(const Frame& frame) { return number_at(frame, 6); }

Frame answer_frame(std::uint32_t response_code) {
  Frame frame{0x80, 0x01, 0, 0, 0, header_size, 0, 0, 0, 0};
  for (unsigned i = 0; i < 4; ++i) frame[6 + i] = static_cast<std::uint8_t>(response_code >> (24 - 8 * i));
  return frame;
}

bool read_exactly(int fd, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const ssize_t count = recv(fd, into.data(), into.size(), 0);
    if (count <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool send_all(int fd, std::span<const std::uint8_t> data) {
  while (!data.empty()) {
    const ssize_t count = send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    data = data.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

/// One command or response; empty when the connection ended.
Frame read_frame(int fd) {
  Frame frame(header_size);
  if (!read_exactly(fd, frame)) return {};
  const std::size_t size = number_at(frame, 2);
  if (size < header_size || size > largest_frame) return {};
  frame.resize(size);
  if (!read_exactly(fd, std::span(frame).subspan(header_size))) return {};
  return frame;
}

/// Passes octets both ways until one side ends.
void relay(int one, int other) {
  std::array<pollfd, 2> ends{
      {{.fd = one, .events = POLLIN, .revents = 0}, {.fd = other, .events = POLLIN, .revents = 0}}};
  std::array<std::uint8_t, largest_frame> buffer{};
  while (poll(ends.data(), ends.size(), -1) > 0) {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].revents == 0) continue;
      const ssize_t count = recv(ends[i].fd, buffer.data(), buffer.size(), 0);
      if (count <= 0) return;
      if (!send_all(ends[1 - i].fd, std::span(buffer).first(static_cast<std::size_t>(count)))) return;
    }
  }
}

/// Ends a connection at once. An orderly end would hold its port for a minute, and tcti-swtpm connects for each
/// command: a long test would take all ports that there are.
void disconnect(const Socket& socket) {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  if (::connect(socket.fd(), &nobody, sizeof(nobody)) != 0) ::shutdown(socket.fd(), SHUT_RDWR);
}

bool makes_transient(TpmCommand command) {
  switch (command) {
    case TpmCommand::create_primary:
    case TpmCommand::load:
    case TpmCommand::load_external:
    case TpmCommand::context_load:
    case TpmCommand::create_loaded: return true;
    default: return false;
  }
}

bool needs_a_free_slot(TpmCommand command) {
  return command == TpmCommand::create || command == TpmCommand::load || command == TpmCommand::create_loaded;
}

}  // namespace

std::string command_name(TpmCommand command) {
  switch (command) {
    case TpmCommand::evict_control: return "EvictControl";
    case TpmCommand::create_primary: return "CreatePrimary";
    case TpmCommand::nv_read: return "NV_Read";
    case TpmCommand::create: return "Create";
    case TpmCommand::import_key: return "Import";
    case TpmCommand::load: return "Load";
    case TpmCommand::sign: return "Sign";
    case TpmCommand::flush_context: return "FlushContext";
    case TpmCommand::load_external: return "LoadExternal";
    case TpmCommand::nv_read_public: return "NV_ReadPublic";
    case TpmCommand::context_load: return "ContextLoad";
    case TpmCommand::read_public: return "ReadPublic";
    case TpmCommand::start_auth_session: return "StartAuthSession";
    case TpmCommand::get_capability: return "GetCapability";
    case TpmCommand::pcr_read: return "PCR_Read";
    case TpmCommand::policy_pcr: return "PolicyPCR";
    case TpmCommand::test_parms: return "TestParms";
    case TpmCommand::create_loaded: return "CreateLoaded";
  }
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%03x", static_cast<unsigned>(command));
  return text.data();
}

std::size_t TpmTap::Seen::count(TpmCommand command) const {
  return static_cast<std::size_t>(std::ranges::count(commands, command));
}

std::string TpmTap::Seen::summary() const {
  std::string text = std::to_string(commands.size()) + " commands";
  const char* separator = ": ";
  for (const TpmCommand command : commands) {
    text.append(separator).append(command_name(command));
    separator = ", ";
  }
  return text + "; at most " + std::to_string(most_transient) + " transient objects, " +
         std::to_string(most_before_create_or_load) + " before a Create or Load";
}

TpmTap::TpmTap(const Swtpm& swtpm) : upstream_(swtpm.port()), ports_(listen_on_port_pair()) {
  commands_thread_ = std::thread([this] { accept_on(ports_.first, true); });
  control_thread_ = std::thread([this] { accept_on(ports_.second, false); });
}

TpmTap::~TpmTap() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  shutdown(ports_.first.fd(), SHUT_RDWR);
  shutdown(ports_.second.fd(), SHUT_RDWR);
  commands_thread_.join();
  control_thread_.join();
  reap(true);
}

TpmTap::Seen TpmTap::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

void TpmTap::reset() {
  const std::scoped_lock lock(mutex_);
  seen_ = {};
  seen_.most_transient = transient_.size();
}

std::size_t TpmTap::transient_objects() const {
  const std::scoped_lock lock(mutex_);
  return transient_.size();
}

std::size_t TpmTap::sessions() const {
  const std::scoped_lock lock(mutex_);
  return sessions_.size();
}

void TpmTap::forget_loaded() {
  const std::scoped_lock lock(mutex_);
  transient_.clear();
  sessions_.clear();
}

void TpmTap::delay(std::chrono::milliseconds time) {
  {
    const std::scoped_lock lock(mutex_);
    delay_ = time;
  }
  changed_.notify_all();
}

void TpmTap::answer(std::uint32_t response_code, unsigned times) {
  const std::scoped_lock lock(mutex_);
  injections_.push_back({.command = std::nullopt, .response_code = response_code, .times = times});
}

void TpmTap::answer(TpmCommand command, std::uint32_t response_code, unsigned times) {
  const std::scoped_lock lock(mutex_);
  injections_.push_back({.command = command, .response_code = response_code, .times = times});
}

void TpmTap::answer_nth(unsigned nth, std::uint32_t response_code) {
  const std::scoped_lock lock(mutex_);
  injections_.push_back({.command = std::nullopt, .response_code = response_code, .times = 1, .skip = nth - 1});
}

void TpmTap::cut_at(unsigned nth, Cut where) {
  const std::scoped_lock lock(mutex_);
  cut_armed_ = true;
  cut_in_ = nth;
  cut_ = where;
}

void TpmTap::set_gone(bool gone) {
  const std::scoped_lock lock(mutex_);
  gone_ = gone;
}

void TpmTap::heal() {
  {
    const std::scoped_lock lock(mutex_);
    injections_.clear();
    cut_armed_ = false;
    gone_ = false;
    delay_ = {};
  }
  changed_.notify_all();
}

void TpmTap::accept_on(const Socket& listener, bool commands) {
  while (!stopping_) {
    Socket client(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) continue;
    {
      const std::scoped_lock lock(mutex_);
      if (gone_ || stopping_) continue;
    }
    auto server = connect_to(upstream_);
    if (!commands) server = connect_to(static_cast<std::uint16_t>(upstream_ + 1));
    if (!server) continue;
    reap(false);
    const std::scoped_lock lock(connections_mutex_);
    Connection& connection = connections_.emplace_back();
    connection.client = std::move(client);
    connection.server = std::move(*server);
    connection.thread = std::thread([this, &connection, commands] { serve(connection, commands); });
  }
}

void TpmTap::serve(Connection& connection, bool commands) {
  if (commands) serve_commands(connection);
  if (!commands) relay(connection.client.fd(), connection.server.fd());
  disconnect(connection.client);
  disconnect(connection.server);
  connection.done = true;
}

void TpmTap::serve_commands(const Connection& connection) {
  for (Frame command = read_frame(connection.client.fd()); !command.empty();
       command = read_frame(connection.client.fd())) {
    if (!exchange(connection, command)) return;
  }
}

bool TpmTap::exchange(const Connection& connection, const Frame& command) {
  wait_delay();
  const Decision decision = arrived(command);
  if (decision.action == Action::cut_before) return false;
  if (decision.action == Action::answer) {
    return send_all(connection.client.fd(), answer_frame(decision.response_code));
  }
  if (!send_all(connection.server.fd(), command)) return false;
  const Frame response = read_frame(connection.server.fd());
  if (response.empty()) return false;
  answered(command, response);
  if (decision.action == Action::cut_after) return false;
  return send_all(connection.client.fd(), response);
}

TpmTap::Decision TpmTap::arrived(const Frame& frame) {
  const TpmCommand command{code_of(frame)};
  const std::scoped_lock lock(mutex_);
  seen_.commands.push_back(command);
  seen_.frames.push_back(frame);
  if (needs_a_free_slot(command)) {
    seen_.most_before_create_or_load = std::max(seen_.most_before_create_or_load, transient_.size());
  }
  if (gone_ || stopping_) return {.action = Action::cut_before};
  if (cut_in_ > 0) --cut_in_;
  if (cut_armed_ && cut_in_ == 0) {
    cut_armed_ = false;
    return {.action = cut_ == Cut::before_the_tpm_sees_it ? Action::cut_before : Action::cut_after};
  }
  const auto injection = std::ranges::find_if(
      injections_, [command](const Injection& it) { return !it.command || *it.command == command; });
  if (injection == injections_.end()) return {};
  if (injection->skip > 0) {
    --injection->skip;
    return {};
  }
  const Decision decision{.action = Action::answer, .response_code = injection->response_code};
  if (--injection->times == 0) injections_.erase(injection);
  return decision;
}

void TpmTap::answered(const Frame& command, const Frame& response) {
  const TpmCommand code{code_of(command)};
  const std::scoped_lock lock(mutex_);
  seen_.answers.push_back(response);
  if (code_of(response) == retry_code) ++seen_.retried;
  if (code_of(response) != 0) return;
  if (makes_transient(code)) transient_.insert(number_at(response, header_size));
  if (code == TpmCommand::start_auth_session) sessions_.insert(number_at(response, header_size));
  if (code == TpmCommand::flush_context) {
    transient_.erase(number_at(command, header_size));
    sessions_.erase(number_at(command, header_size));
  }
  seen_.most_transient = std::max(seen_.most_transient, transient_.size());
}

void TpmTap::wait_delay() {
  std::unique_lock lock(mutex_);
  const auto start = std::chrono::steady_clock::now();
  while (!stopping_ && std::chrono::steady_clock::now() < start + delay_) {
    changed_.wait_until(lock, start + delay_);
  }
}

void TpmTap::reap(bool all) {
  const std::scoped_lock lock(connections_mutex_);
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (all) {
      shutdown(it->client.fd(), SHUT_RDWR);
      shutdown(it->server.fd(), SHUT_RDWR);
    }
    if (!all && !it->done) {
      ++it;
      continue;
    }
    it->thread.join();
    it = connections_.erase(it);
  }
}

}  // namespace devid::test
