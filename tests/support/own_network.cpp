#include "tests/support/own_network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "tests/support/loopback.h"
#include "tests/support/own_namespace.h"

namespace devid::test {

void leave_the_network_of_others() {
  enter_own_namespaces(CLONE_NEWNET);
  const Socket socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::ranges::copy(std::string_view("lo"), request.ifr_name);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket || ::ioctl(socket.fd(), SIOCSIFFLAGS, &request) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot bring the loopback interface up");
}

}  // namespace devid::test
