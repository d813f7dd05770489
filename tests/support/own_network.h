#pragma once

namespace devid::test {

/// Leaves this process, and those that it starts from now on, with no network but a loopback interface of their own:
/// who binds every address there is reached by nobody else, and every port is free. The caller has one thread, and is
/// root or may make user namespaces. Throws std::system_error.
void leave_the_network_of_others();

}  // namespace devid::test
