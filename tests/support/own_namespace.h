#pragma once

namespace devid::test {

/// Puts this process, and those that it starts from now on, into namespaces of their own: CLONE_NEWNS, CLONE_NEWNET, or
/// both. Whoever is not root becomes root there, in a user namespace. The caller has one thread, and is root or may
/// make user namespaces. Throws std::system_error.
void enter_own_namespaces(int kinds);

}  // namespace devid::test
