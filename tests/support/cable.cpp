#include "tests/support/cable.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "tests/support/command.h"

namespace devid::test {
namespace {

int network_of_this_thread() {
  const int fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "/proc/thread-self/ns/net");
  return fd;
}

void enter(int network) {
  if (::setns(network, CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "setns");
}

void ip(std::vector<std::string> words) {
  words.insert(words.begin(), "ip");
  const Outcome outcome = run({.argv = words});
  if (!outcome.ok()) throw std::runtime_error("ip " + words[1] + ": " + outcome.output + outcome.errors);
}

}  // namespace

Cable::Cable() : near_(network_of_this_thread()) {
  if (::unshare(CLONE_NEWNET) != 0) throw std::system_error(errno, std::generic_category(), "unshare");
  far_ = network_of_this_thread();
  enter(near_);
  const std::string far = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(far_);
  ip({"link", "add", "near", "type", "veth", "peer", "name", "far"});
  ip({"link", "set", "far", "netns", far});
  ip({"address", "add", "192.0.2.2/24", "dev", "near"});
  at_far_end([] {
    ip({"link", "set", "lo", "up"});
    ip({"address", "add", std::string(far_address) + "/24", "dev", "far"});
    ip({"link", "set", "far", "up"});
  });
  plug();
}

Cable::~Cable() {
  ::close(near_);
  ::close(far_);
}

void Cable::at_far_end(const std::function<void()>& something) const {
  enter(far_);
  try {
    something();
  } catch (...) {
    enter(near_);
    throw;
  }
  enter(near_);
}

void Cable::unplug() const { ip({"link", "set", "near", "down"}); }
void Cable::plug() const { ip({"link", "set", "near", "up"}); }

}  // namespace devid::test
